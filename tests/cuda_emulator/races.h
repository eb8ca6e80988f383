// Finds data races by vector clocks: two accesses to one word, one of them a write, must be ordered by
// barriers. It finds them whichever way round they came, so that one schedule does for all.
//
// A thread counts its releases: it is in its first epoch until it has arrived at a barrier, and so on. Of
// every other thread it knows up to which epoch it has seen its memory: what it acquired at barriers. An access
// in an epoch that it knows is ordered before what it does now.

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

    // Threads of two clusters never meet, so that nothing of the one is ordered before anything of the other.
    bool knows(const Access& access) const {
        return access.epoch == 0 || access.thread == thread ||
               (access.thread - first < known->size() && access.epoch <= (*known)[access.thread - first]);
    }
};

// A word of memory: its last write, and the reads since that are not ordered among each other. (Of two that
// are, who knows the later one knows the earlier one.)
struct Word {
    Access write = {0, 0, nullptr};
    std::vector<Access> reads;

    // Null, or the access that races with this one.
    const Access* read(const Knowledge& by, const void* where) {
        if (!by.knows(write)) return &write;
        reads.erase(std::remove_if(reads.begin(), reads.end(), [&](auto& read) { return by.knows(read); }),
                    reads.end());
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

// What is told at a barrier: all that those who release know, and their own epochs up to there.
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

    // What all of it makes, which ends it: the next phase begins with nothing told.
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
