// Runs a kernel on the CPU, a cluster at a time. A cluster's threads are fibers that take turns in a random
// order. Every memory access is checked here, as the kernel is compiled with -fsanitize=thread and linked with
// this file instead of that sanitizer's library. The first error ends the launch.

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <map>
#include <random>
#include <string>

#include "cuda.h"
#include "fibers.h"
#include "races.h"

namespace {

constexpr unsigned LANES = 32;
constexpr size_t WINDOW = 1024;                // more than any type's alignment
constexpr size_t STACK = (16 << 10) + 9 * 64;  // not a power of two, so stacks use all cache sets

// The things that a thread may wait for.
constexpr const char* BLOCK_BARRIER = "__syncthreads";
constexpr const char* CLUSTER_BARRIER = "the cluster's barrier";
constexpr const char* SHUFFLE = "__shfl_xor_sync";
constexpr const char* MBARRIER = "an mbarrier";

struct Extent {  // of an array in global memory
    char* begin;
    size_t bytes;
    bool constant;
};

struct Array : Extent {
    std::vector<Word> words;  // none for a constant array, which must not be written
};

struct Copy {  // not yet completed
    char* to;
    const char* from;
    size_t bytes;
    unsigned group;
    const void* where;
};

struct Thread : Knowledge {
    unsigned index, block;  // in its block, and in the cluster
    Fiber fiber;
    const char* waits_for = nullptr;
    unsigned shuffles = 0;
    std::vector<Copy> copies;
    unsigned groups = 0;   // of copies, committed
    bool arrived = false;  // at the cluster's barrier, where it has not yet waited
    unsigned phase;        // of that barrier when it arrived
};

struct Warp {
    float exchanged[2][LANES];  // of two shuffles, as a lane may reach the next one before another has read
    unsigned shuffling = 0, arriving = 0;
    const char* arrives_by = nullptr;
};

// The threads' knowledge after acquiring, by their knowledge before: mostly the same for a whole block.
using Acquired = std::map<Known, Known>;

struct Store {  // not yet completed
    char* to;
    float value;
};

struct Mbarrier {
    unsigned expected, arriving;  // arrivals per phase, and those that this phase waits for
    Released released;
    unsigned phase = 0;
    long bytes = 0;  // expected and not yet stored, or if negative, stored and not yet expected
    std::vector<Store> stores;
    Known known;  // from its last phase
    Acquired acquired;
};

struct Block {
    char* shared = nullptr;
    std::vector<Word> words;
    unsigned arrived = 0;  // at its barrier
    Released barrier;
    std::map<size_t, Mbarrier> mbarriers;  // by place in `shared`
    unsigned running;                      // threads
    std::vector<Warp> warps;

    Block(unsigned threads, size_t all)
        : barrier(all), running(threads), warps(threads / LANES) {}
};

struct Cluster {
    unsigned number, block_threads;
    std::vector<Thread> threads;
    std::vector<Block> blocks;
    std::vector<Thread*> ready;
    size_t running;

    size_t shared_bytes = 0, window = 0;  // a block's shared memory, and the memory reserved for it
    std::vector<char> memory;
    char* windows = nullptr;  // in `memory`, aligned

    unsigned arrived = 0, phase = 0;  // arrivals at its barrier, and its phase
    Released barrier;
    Known released;  // in the last phase
    Acquired acquired;

    Cluster(unsigned number, unsigned blocks, unsigned block_threads)
        : number(number), block_threads(block_threads), threads(blocks * block_threads),
          blocks(blocks, Block(block_threads, threads.size())), running(threads.size()),
          barrier(threads.size()) {}
};

std::vector<Array> arrays;
std::unique_ptr<Cluster> cluster;
Thread* me;
Fiber launching;
void** arguments;
std::mt19937 dice;
size_t choice;  // how many of the ready threads may be next; fewer keep the caches warmer
std::string finding;

[[noreturn]] void found(const std::string& what) {
    finding = what;
    me->fiber.give_way_to(launching);
    __builtin_unreachable();
}

// Returns a placeholder for the call that returns to `where`, which the launcher replaces by its line.
std::string at(const void* where) {
    Dl_info program;
    dladdr(where, &program);
    char text[32];
    const auto* base = static_cast<const char*>(program.dli_fbase);
    snprintf(text, sizeof text, "{%zx}", static_cast<const char*>(where) - base - 1);
    return text;
}

std::string name(unsigned thread) {
    const unsigned in_cluster = thread % cluster->threads.size();
    return "thread " + std::to_string(in_cluster % cluster->block_threads) + " of block " +
           std::to_string(in_cluster / cluster->block_threads);
}

Block& my_block() { return cluster->blocks[me->block]; }
Warp& my_warp() { return my_block().warps[me->index / LANES]; }

// Turns

void go_on_with_another() {
    auto& ready = cluster->ready;
    if (ready.empty()) {
        std::map<std::string, unsigned> waiting;
        for (const Thread& thread : cluster->threads)
            if (thread.waits_for) waiting[thread.waits_for]++;
        std::string text = "deadlock:";
        for (const auto& [what, count] : waiting)
            text += " " + std::to_string(count) + " threads wait for " + what;
        found(text);
    }
    std::swap(ready[ready.size() - 1 - dice() % std::min(ready.size(), choice)], ready.back());
    Thread* before = me;
    me = ready.back();
    ready.pop_back();
    if (me != before) before->fiber.give_way_to(me->fiber);
}

void wait_for(const char* what) {
    me->waits_for = what;
    go_on_with_another();
}

// Makes the threads in a range that wait for `what` ready, and this one, which then gives way.
void wake(const char* what, Thread* begin, Thread* end) {
    for (Thread* thread = begin; thread != end; thread++)
        if (thread->waits_for == what) {
            thread->waits_for = nullptr;
            cluster->ready.push_back(thread);
        }
    cluster->ready.push_back(me);
    go_on_with_another();
}

void acquire(const Known& released, Acquired& acquired) {
    Known& both = acquired[me->known];
    if (!both) {
        Released all(cluster->threads.size());
        all.merge(me->known);
        all.merge(released);
        both = all.take();
    }
    me->known = both;
}

Thread* first_of_block() { return &cluster->threads[me->block * cluster->block_threads]; }

// Memory

[[noreturn]] void race(const Access& other, const char* before, const void* where, const char* now) {
    found("race: " + name(me->thread) + " " + now + at(where) + " a word that " + name(other.thread) + " " +
          before + at(other.where) + ", and nothing orders the two accesses");
}

void touch(Word* words, size_t offset, size_t bytes, bool writes, const void* where) {
    for (size_t word = offset / 4; word < (offset + bytes + 3) / 4; word++) {
        const Access* other = writes ? words[word].written(*me, where) : words[word].read(*me, where);
        if (!other) continue;
        const bool written = other == &words[word].write;
        race(*other, written ? "wrote" : "read", where, writes ? "writes" : "reads");
    }
}

// Checks an access to this block's shared memory, to an array, or to a variable on the thread's stack.
void access(const void* pointer, size_t bytes, bool writes, const void* where) {
    const auto* byte = static_cast<const char*>(pointer);
    Block& block = my_block();
    if (block.shared && byte >= block.shared && byte + bytes <= block.shared + cluster->shared_bytes)
        return touch(block.words.data(), byte - block.shared, bytes, writes, where);
    const auto* stack = static_cast<const char*>(me->fiber.start.uc_stack.ss_sp);
    if (byte >= stack && byte < stack + STACK) return;
    for (Array& array : arrays) {
        if (byte < array.begin || byte + bytes > array.begin + array.bytes) continue;
        if (!array.constant) return touch(array.words.data(), byte - array.begin, bytes, writes, where);
        if (!writes) return;
        found("outside: " + name(me->thread) + " writes" + at(where) + " into a constant array");
    }
    found("outside: " + name(me->thread) + (writes ? " writes" : " reads") + at(where) +
          " outside all arrays");
}

void aligned(size_t address, size_t bytes, const void* where) {
    if (address % bytes != 0) found("misaligned: " + std::to_string(bytes) + " bytes" + at(where));
}

// Above these bits, a shared address has the block's rank plus one, or 0 for the thread's own block.
constexpr int RANK = 24;

struct Place {
    Block& block;
    char* pointer;
};

Place place(unsigned address, size_t bytes, const void* where) {
    const unsigned rank = address >> RANK;
    const size_t offset = address & ((1 << RANK) - 1), end = offset + bytes;
    const unsigned number = rank == 0 ? me->block : rank - 1;
    if (number >= cluster->blocks.size()) found("outside: there is no such block" + at(where));
    Block& block = cluster->blocks[number];
    const size_t begin = block.shared ? block.shared - &cluster->windows[number * cluster->window] : 0;
    if (!block.shared || offset < begin || end > begin + cluster->shared_bytes)
        found("outside: the address is not in shared memory" + at(where));
    aligned(offset, bytes, where);
    if (block.running == 0) found("outside: the memory of a block that has ended" + at(where));
    return {block, block.shared + (offset - begin)};
}

void land(const Copy& copy) {
    access(copy.to, copy.bytes, true, copy.where);
    memcpy(copy.to, copy.from, copy.bytes);
}

// Checks that all accesses of others to the block's shared memory are ordered before its end.
void end_block() {
    Released released(cluster->threads.size());
    for (unsigned i = 0; i < cluster->block_threads; i++) released.release(first_of_block()[i]);
    me->known = released.take();
    for (const Word& word : my_block().words)
        if (const Access* other = word.unordered(*me))
            found("outside: block " + std::to_string(me->block) + " may have ended when " +
                  name(other->thread) + " uses" + at(other->where) + " its shared memory");
}

void run() {
    emulator::kernel(arguments);
    if (!me->copies.empty())
        found("outside: a copy" + at(me->copies[0].where) + " may complete after its block has ended");
    if (me->arrived) found("barrier: a thread ends after arriving at the cluster's barrier without waiting");
    if (--my_block().running == 0) end_block();
    if (--cluster->running > 0) go_on_with_another();
    me->fiber.give_way_to(launching);
}

}  // namespace

// Definitions for cuda.h

#define WHERE __builtin_return_address(0)

emulator::Index emulator::thread_index() { return {me->index}; }

emulator::Index emulator::block_index() {
    return {cluster->number * static_cast<unsigned>(cluster->blocks.size()) + me->block};
}

// Shared memory begins as NaN, and has no more than the alignment of its type.
void* emulator::shared_memory(size_t bytes, size_t alignment) {
    if (!cluster->windows) {
        cluster->shared_bytes = bytes;
        cluster->window = (bytes + alignment) / WINDOW * WINDOW + WINDOW;
        cluster->memory.resize(cluster->blocks.size() * cluster->window + WINDOW, '\xff');
        cluster->windows = cluster->memory.data();
        cluster->windows += WINDOW - reinterpret_cast<size_t>(cluster->windows) % WINDOW;
        for (size_t i = 0; i < cluster->blocks.size(); i++) {
            cluster->blocks[i].shared = &cluster->windows[i * cluster->window] + alignment;
            cluster->blocks[i].words.resize(bytes / 4);
        }
    }
    return my_block().shared;
}

void __syncthreads() {
    Block& block = my_block();
    block.barrier.release(*me);
    if (++block.arrived < cluster->block_threads) return wait_for(BLOCK_BARRIER);
    block.arrived = 0;
    const Known released = block.barrier.take();
    for (unsigned i = 0; i < cluster->block_threads; i++) first_of_block()[i].known = released;
    wake(BLOCK_BARRIER, first_of_block(), first_of_block() + cluster->block_threads);
}

// Exchanges values, but does not order memory accesses.
float __shfl_xor_sync(unsigned lanes, float value, int distance) {
    if (lanes != 0xffffffff) found("barrier: the emulator does not support a shuffle of only some lanes");
    Warp& warp = my_warp();
    const float* values = warp.exchanged[me->shuffles % 2];
    warp.exchanged[me->shuffles++ % 2][me->index % LANES] = value;
    if (++warp.shuffling < LANES) {
        wait_for(SHUFFLE);
    } else {
        warp.shuffling = 0;
        Thread* first = me - me->index % LANES;
        wake(SHUFFLE, first, first + LANES);
    }
    return values[me->index % LANES ^ distance];
}

size_t __cvta_generic_to_shared(const void* pointer) {
    return static_cast<const char*>(pointer) - &cluster->windows[me->block * cluster->window];
}

void emulator::mapa_shared_cluster_u32(unsigned& result, R address, R rank) {
    result = address.value + ((rank.value + 1) << RANK);
}

void emulator::st_shared_cluster_f32(At<R> to, F value) {
    const auto [block, pointer] = place(to.address.value, 4, WHERE);
    touch(block.words.data(), pointer - block.shared, 4, true, WHERE);
    memcpy(pointer, &value.value, 4);
}

// A copy may complete at any time until it is waited for. Here it does so then; until then, NaN is there.
void emulator::copy(size_t to, size_t from, int bytes) {
    const auto [block, pointer] = place(to, bytes, WHERE);
    aligned(from, bytes, WHERE);
    access(reinterpret_cast<const void*>(from), bytes, false, WHERE);
    access(pointer, bytes, true, WHERE);
    memset(pointer, 0xff, bytes);
    const auto size = static_cast<size_t>(bytes);
    me->copies.push_back({pointer, reinterpret_cast<const char*>(from), size, me->groups, WHERE});
}

void emulator::cp_async_commit_group() { me->groups++; }

void emulator::wait_for_copies(unsigned pending) {
    auto copy = me->copies.begin();
    for (; copy != me->copies.end() && copy->group + pending < me->groups; copy++) land(*copy);
    me->copies.erase(me->copies.begin(), copy);
}

namespace {

void arrive(const char* how, bool release) {
    if (me->arrived) found("barrier: a thread arrives at the cluster's barrier again without having waited");
    me->arrived = true;
    me->phase = cluster->phase;
    Warp& warp = my_warp();
    if (warp.arriving == 0) warp.arrives_by = how;
    if (warp.arrives_by != how) found("barrier: lanes of a warp arrive in two ways at an .aligned barrier");
    warp.arriving = (warp.arriving + 1) % LANES;
    if (release) cluster->barrier.release(*me);
    if (++cluster->arrived < cluster->threads.size()) return;
    cluster->arrived = 0;
    cluster->phase++;
    cluster->released = cluster->barrier.take();
    cluster->acquired.clear();
    wake(CLUSTER_BARRIER, &cluster->threads.front(), &cluster->threads.back() + 1);
}

}  // namespace

void emulator::barrier_cluster_arrive_release_aligned() { arrive("release", true); }
void emulator::barrier_cluster_arrive_relaxed_aligned() { arrive("relaxed", false); }

void emulator::barrier_cluster_wait_acquire_aligned() {
    if (!me->arrived) found("barrier: a thread waits at the cluster's barrier without having arrived");
    if (me->phase == cluster->phase) wait_for(CLUSTER_BARRIER);
    me->arrived = false;
    acquire(cluster->released, cluster->acquired);
}

void emulator::mbarrier_init_shared_cta_b64(At<R> mbarrier, unsigned arrivals) {
    const auto [block, pointer] = place(mbarrier.address.value, 8, WHERE);
    touch(block.words.data(), pointer - block.shared, 8, true, WHERE);
    Mbarrier made{arrivals, arrivals, Released(cluster->threads.size()), 0, 0, {}, {}, {}};
    block.mbarriers.insert_or_assign(pointer - block.shared, made);
}

// It makes the mbarrier visible to other blocks; the race detector checks this at the next cluster barrier.
void emulator::fence_mbarrier_init_release_cluster() {}

namespace {

struct MbarrierPlace {
    Block& block;
    Mbarrier& mbarrier;
};

MbarrierPlace mbarrier_at(unsigned address, const void* where) {
    const auto [block, pointer] = place(address, 8, where);
    touch(block.words.data(), pointer - block.shared, 8, false, where);  // it must be initialised
    const auto place = block.mbarriers.find(pointer - block.shared);
    if (place == block.mbarriers.end()) found("barrier: the address is not an mbarrier" + at(where));
    return {block, place->second};
}

void end_phase_if_complete(Block& block, Mbarrier& mbarrier) {
    if (mbarrier.arriving > 0 || mbarrier.bytes != 0) return;
    for (const Store& store : mbarrier.stores) memcpy(store.to, &store.value, sizeof store.value);
    mbarrier.stores.clear();
    mbarrier.phase++;
    mbarrier.arriving = mbarrier.expected;
    mbarrier.known = mbarrier.released.take();
    mbarrier.acquired.clear();
    Thread* first = &cluster->threads[(&block - &cluster->blocks[0]) * cluster->block_threads];
    wake(MBARRIER, first, first + cluster->block_threads);
}

}  // namespace

void emulator::mbarrier_arrive_expect_tx_shared_cta_b64(Sink, At<R> address, R bytes) {
    const auto [block, mbarrier] = mbarrier_at(address.address.value, WHERE);
    if (mbarrier.arriving == 0) found("barrier: more arrivals at an mbarrier than it expects" + at(WHERE));
    mbarrier.released.release(*me);
    mbarrier.arriving--;
    mbarrier.bytes += bytes.value;
    end_phase_if_complete(block, mbarrier);
}

void emulator::mbarrier_try_wait_parity_acquire_cluster_shared_cta_b64(bool& done, At<R> address, R parity) {
    const auto [block, mbarrier] = mbarrier_at(address.address.value, WHERE);
    while (mbarrier.phase % 2 == parity.value) wait_for(MBARRIER);
    if (mbarrier.phase > 0) acquire(mbarrier.known, mbarrier.acquired);
    done = true;
}

// The store may complete at any time until its mbarrier has all its bytes. Here it does so then; until then,
// NaN is there. In PTX it releases only the store, and here everything that its thread has done: cluster.cu
// relies on that only for reads whose values the store depends on, which have finished by then.
void emulator::st_async_weak_shared_cluster_mbarrier_complete_tx_bytes_f32(At<R> to, F value, At<R> address) {
    const auto [block, pointer] = place(to.address.value, 4, WHERE);
    const auto [its_block, mbarrier] = mbarrier_at(address.address.value, WHERE);
    if (&block != &its_block) found("barrier: a store and its mbarrier are in different blocks" + at(WHERE));
    touch(block.words.data(), pointer - block.shared, 4, true, WHERE);
    memset(pointer, 0xff, 4);
    mbarrier.stores.push_back({pointer, value.value});
    mbarrier.released.release(*me);
    mbarrier.bytes -= 4;
    end_phase_if_complete(block, mbarrier);
}

// Functions that compiled code calls

#define HOOKS(bytes)                                                                              \
    extern "C" void __tsan_read##bytes(void* pointer) { access(pointer, bytes, false, WHERE); }   \
    extern "C" void __tsan_write##bytes(void* pointer) { access(pointer, bytes, true, WHERE); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
extern "C" void __tsan_read_range(void* pointer, size_t bytes) { access(pointer, bytes, false, WHERE); }
extern "C" void __tsan_write_range(void* pointer, size_t bytes) { access(pointer, bytes, true, WHERE); }
extern "C" void __tsan_init() {}

// Called by -fsanitize=alignment before an access to an address that its type cannot have.
extern "C" void __ubsan_handle_type_mismatch_v1(void*, void*) { found("misaligned: an access" + at(WHERE)); }

// The function that the launcher calls

// Returns the error found in the kernel, or null.
extern "C" const char* launch(unsigned clusters, unsigned blocks, unsigned block_threads,
                              void** kernel_arguments, const Extent* extents, unsigned count, unsigned seed) {
    arguments = kernel_arguments;
    arrays.clear();
    for (const Extent* extent = extents; extent != extents + count; extent++)
        arrays.push_back({*extent, std::vector<Word>(extent->constant ? 0 : extent->bytes / 4)});
    dice.seed(seed);
    choice = LANES << seed % 7;
    finding.clear();
    std::unique_ptr<char[]> stacks(new char[blocks * block_threads * STACK]);
    for (unsigned number = 0; number < clusters && finding.empty(); number++) {
        cluster = std::make_unique<Cluster>(number, blocks, block_threads);
        const auto threads = static_cast<unsigned>(cluster->threads.size());
        const auto nothing = std::make_shared<const Clock>(threads);
        for (unsigned i = 0; i < threads; i++) {
            Thread& thread = cluster->threads[i];
            thread.first = number * threads;
            thread.thread = thread.first + i;
            thread.known = nothing;
            thread.index = i % block_threads;
            thread.block = i / block_threads;
            thread.fiber.begin(&stacks[i * STACK], STACK, run);
            cluster->ready.push_back(&thread);
        }
        me = cluster->ready.front();
        cluster->ready.erase(cluster->ready.begin());
        launching.give_way_to(me->fiber);
    }
    cluster.reset();
    return finding.empty() ? nullptr : finding.c_str();
}
