// Threads that take turns: each runs on its own stack until it switches to another.

#pragma once

#include <setjmp.h>
#include <ucontext.h>

struct Fiber {
    ucontext_t start;  // where it begins; later switches use setjmp, which makes no system call
    jmp_buf pause;     // where it continues
    bool started = true;

    // Prepares `function`, which must not return, to begin at the first switch to this fiber.
    void begin(char* stack, size_t bytes, void (*function)()) {
        getcontext(&start);
        start.uc_stack.ss_sp = stack;
        start.uc_stack.ss_size = bytes;
        makecontext(&start, function, 0);
        started = false;
    }

    // Pauses this fiber, which is running, and continues another.
    void give_way_to(Fiber& other) {
        if (_setjmp(pause) != 0) return;
        if (other.started) _longjmp(other.pause, 1);
        other.started = true;
        setcontext(&other.start);
    }
};
