// What only some readers need is packed: unpacking, and running Vega, waits for the first figure in view.
const unpack = async (id) => {
  const packed = atob(document.getElementById(id).textContent);
  const bytes = new Blob([Uint8Array.from(packed, (character) => character.charCodeAt(0))]);
  return new Response(bytes.stream().pipeThrough(new DecompressionStream("gzip"))).text();
};

const once = (make) => {
  let made;
  return () => (made ??= make());
};

// Ends the browser's current task, so that the page responds.
const pause = () => new Promise((resume) => { setTimeout(resume); });

const loadFigures = once(async () => JSON.parse(await unpack("figures")));

const loadVega = once(async () => {
  const script = document.createElement("script");
  script.textContent = await unpack("library");
  await pause();
  document.head.append(script);
  await pause();
});
