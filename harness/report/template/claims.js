// The filter of the claims, and links to a claim.
const claims = [...document.querySelectorAll(".claim")];
const choices = [...document.querySelectorAll("input[name=filter]")];

const filter = () => {
  const verdict = choices.find((each) => each.checked)?.value ?? "";
  claims.forEach((claim) => { claim.hidden = verdict !== "" && claim.dataset.verdict !== verdict; });
  document.body.classList.toggle("filtered", verdict !== "");
  for (const section of document.querySelectorAll(".exercise")) {
    section.hidden = verdict !== "" && !section.querySelector(".claim:not([hidden])");
  }
  const status = document.getElementById("filtered");
  if (status) {
    const count = claims.filter((claim) => !claim.hidden).length;
    status.textContent = verdict && `${count} of ${claims.length} claims, by exercise; tables and figures are hidden.`;
  }
};
choices.forEach((each) => each.addEventListener("change", filter));

// Opens the claim that the address names, and shows what a filter hides of its target.
const follow = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (!target.checkVisibility() && choices.length) {
    choices[0].checked = true;
    filter();
  }
  const details = target.matches(".claim") && target.querySelector("details");
  if (details) details.open = true;
  target.scrollIntoView();
};
window.addEventListener("hashchange", follow);
filter(); // a browser restores a choice when the page is loaded again
follow();
