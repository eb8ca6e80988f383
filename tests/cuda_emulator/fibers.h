// Threads that take turns: each runs on a stack of its own until it gives way to another.

#pragma once

#include <setjmp.h>
#include <ucontext.h>

struct Fiber {
    ucontext_t start;  // where it begins; from then on setjmp switches, which makes no system call
    jmp_buf pause;     // where it goes on
    bool started = true;

    // Begins `function`, which must not return, when it is first switched to.
    void begin(char* stack, size_t bytes, void (*function)()) {
        getcontext(&start);
        start.uc_stack.ss_sp = stack;
        start.uc_stack.ss_size = bytes;
        makecontext(&start, function, 0);
        started = false;
    }

    // Pauses this fiber, which is running, and goes on with another.
    void give_way_to(Fiber& other) {
        if (_setjmp(pause) != 0) return;
        if (other.started) _longjmp(other.pause, 1);
        other.started = true;
        setcontext(&other.start);
    }
};
