// Detects data races with vector clocks. Barriers must order any two accesses to a word, one of which is a
// write; if they do not, the race is detected whichever access comes first.
//
// A thread's epochs are counted by its releases: the first epoch ends when it first arrives at a barrier.
// There it acquires knowledge of each other thread up to some epoch. Accesses in the epochs that it knows are
// ordered before its own later accesses.

#pragma once

#include <algorithm>
#include <memory>
#include <vector>

// The last known epoch of each thread of the cluster. Never changed once shared.
using Clock = std::vector<unsigned>;
using Known = std::shared_ptr<const Clock>;

struct Access {
    unsigned thread, epoch;  // epoch 0: no access
    const void* where;       // address in the program
};

// A thread's knowledge of other threads' accesses.
struct Knowledge {
    unsigned first, thread;  // the first thread of its cluster, and itself, counted in the grid
    unsigned epoch = 1;
    Known known;

    // It never knows threads of other clusters, with which it never synchronises.
    bool knows(const Access& access) const {
        const unsigned other = access.thread - first;
        return access.epoch == 0 || access.thread == thread ||
               (other < known->size() && access.epoch <= (*known)[other]);
    }
};

// A word of memory: its last write and the reads since, except reads ordered before another of them: a thread
// that knows a read knows everything ordered before it.
struct Word {
    Access write = {0, 0, nullptr};
    std::vector<Access> reads;

    // Returns the access that races with this one, or null.
    const Access* read(const Knowledge& by, const void* where) {
        if (!by.knows(write)) return &write;
        const auto known = [&](const Access& read) { return by.knows(read); };
        reads.erase(std::remove_if(reads.begin(), reads.end(), known), reads.end());
        reads.push_back({by.thread, by.epoch, where});
        return nullptr;
    }

    const Access* written(const Knowledge& by, const void* where) {
        if (const Access* other = unordered(by)) return other;
        write = {by.thread, by.epoch, where};
        reads.clear();
        return nullptr;
    }

    const Access* unordered(const Knowledge& with) const {
        if (!with.knows(write)) return &write;
        for (const Access& read : reads)
            if (!with.knows(read)) return &read;
        return nullptr;
    }
};

// The knowledge passed on at a barrier: that of all threads that release, and their own epochs up to this one.
class Released {
public:
    explicit Released(size_t threads) : clock_(threads) {}

    void release(Knowledge& by) {
        if (by.known != last_) merge(by.known);  // mostly the same for all, from the last barrier
        last_ = by.known;
        clock_[by.thread - by.first] = by.epoch++;
    }

    void merge(const Known& known) {
        std::transform(clock_.begin(), clock_.end(), known->begin(), clock_.begin(),
                       [](unsigned a, unsigned b) { return std::max(a, b); });
    }

    // Returns all of it; the barrier's next phase starts without any.
    Known take() {
        auto taken = std::make_shared<const Clock>(clock_);
        std::fill(clock_.begin(), clock_.end(), 0);
        last_ = nullptr;
        return taken;
    }

private:
    Clock clock_;
    Known last_;
};
