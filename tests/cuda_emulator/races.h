// Finds data races by vector clocks. Of two accesses to a word, one of them a write, barriers must order one
// before the other; where none does, that is found whichever of the two came first.
//
// A thread's epochs are counted by its releases: the first one ends when it first arrives at a barrier. By
// what it acquires there a thread knows the others up to an epoch each. Accesses in epochs that it knows are
// ordered before its own from then on.

#pragma once

#include <algorithm>
#include <memory>
#include <vector>

// By thread of the cluster: the last epoch that is known of it. Never changed once it is shared.
using Clock = std::vector<unsigned>;
using Known = std::shared_ptr<const Clock>;

struct Access {
    unsigned thread, epoch;  // epoch 0: there was none
    const void* where;       // in the program
};

// What a thread knows, beside its own accesses.
struct Knowledge {
    unsigned first, thread;  // the first thread of its cluster, and itself, of all in the grid
    unsigned epoch = 1;
    Known known;

    // Nothing of another cluster, whose threads it never meets.
    bool knows(const Access& access) const {
        const unsigned other = access.thread - first;
        return access.epoch == 0 || access.thread == thread ||
               (other < known->size() && access.epoch <= (*known)[other]);
    }
};

// A word of memory: its last write and the reads since, but for those that are ordered before another of
// them: who knows a read knows what was ordered before it.
struct Word {
    Access write = {0, 0, nullptr};
    std::vector<Access> reads;

    // Null, or the access that races with this one.
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

// What is told at a barrier: all that those know who release, and their own epochs up to this one.
class Told {
public:
    explicit Told(size_t threads) : clock_(threads) {}

    void release(Knowledge& by) {
        if (by.known != last_) merge(by.known);  // most know the same, from the last barrier
        last_ = by.known;
        clock_[by.thread - by.first] = by.epoch++;
    }

    void merge(const Known& known) {
        std::transform(clock_.begin(), clock_.end(), known->begin(), clock_.begin(),
                       [](unsigned a, unsigned b) { return std::max(a, b); });
    }

    // All of it; the barrier's next phase begins with nothing told.
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
