// The part of CUDA that cluster.cu uses, for g++. Included before the source; emulator.cpp defines what is
// declared here.

#pragma once

#include <stddef.h>  // no larger header, as every planted bug compiles this again

#define __global__
#define __device__ inline __attribute__((always_inline))  // as nvcc does
#define __forceinline__
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

#define threadIdx (emulator::thread_index())
#define blockIdx (emulator::block_index())

extern "C" float expf(float);
extern "C" float fmaxf(float, float);

struct alignas(16) float4 {
    float x, y, z, w;
};

inline int min(int a, int b) { return a < b ? a : b; }

void __syncthreads();
float __shfl_xor_sync(unsigned lanes, float value, int distance);
size_t __cvta_generic_to_shared(const void* pointer);
inline size_t __cvta_generic_to_global(const void* pointer) { return reinterpret_cast<size_t>(pointer); }

namespace emulator {

struct Index {
    unsigned x;
};

// `const`, as a thread's index never changes.
Index thread_index() __attribute__((const));
Index block_index() __attribute__((const));

void* shared_memory(size_t bytes, size_t alignment);

// The operands of inline PTX: a type for each constraint, so that instructions compile only with theirs.

struct R {
    unsigned value;
};
struct L {
    size_t value;
};
struct F {
    float value;
};
template <int constant>
struct N {};
template <typename Register>
struct At {  // [...]
    Register address;
};

constexpr struct Sink {
} _;

template <typename Register>
At<Register> address(Register address) {
    return {address};
}
inline R r(unsigned value) { return {value}; }
inline R r(int value) { return {static_cast<unsigned>(value)}; }
inline L l(size_t value) { return {value}; }
inline F f(float value) { return {value}; }
template <typename T>
void r(T) = delete;
template <typename T>
void l(T) = delete;
template <typename T>
void f(T) = delete;

// The instructions, by name.

void copy(size_t to, size_t from, int bytes);
void wait_for_copies(unsigned pending);
void cp_async_commit_group();
void mapa_shared_cluster_u32(unsigned& result, R address, R rank);
void st_shared_cluster_f32(At<R> to, F value);
void barrier_cluster_arrive_release_aligned();
void barrier_cluster_arrive_relaxed_aligned();
void barrier_cluster_wait_acquire_aligned();
void mbarrier_init_shared_cta_b64(At<R> mbarrier, unsigned arrivals);
void fence_mbarrier_init_release_cluster();
void mbarrier_arrive_expect_tx_shared_cta_b64(Sink, At<R> mbarrier, R bytes);
void mbarrier_try_wait_parity_acquire_cluster_shared_cta_b64(bool& done, At<R> mbarrier, R parity);
void st_async_weak_shared_cluster_mbarrier_complete_tx_bytes_f32(At<R> to, F value, At<R> mbarrier);
inline void selp_u32(unsigned& result, unsigned a, unsigned b, bool which) { result = which ? a : b; }

template <int bytes>
void cp_async_ca_shared_global(At<R> to, At<L> from, N<bytes>) {
    static_assert(bytes == 4 || bytes == 8 || bytes == 16, "cp.async.ca takes 4, 8 or 16 bytes");
    copy(to.address.value, from.address.value, bytes);
}

template <int pending>
void cp_async_wait_group(N<pending>) {
    wait_for_copies(pending);
}

template <size_t... i>
struct Positions {};

// Calls a kernel with arguments in CUDA's form: a pointer to each.
template <typename... T, size_t... i>
__attribute__((no_sanitize("thread"))) void call(void (*kernel)(T...), void** arguments,
                                                 Positions<i...>) {
    kernel(*static_cast<T*>(arguments[i])...);
}

template <typename... T>
void call(void (*kernel)(T...), void** arguments) {
    call(kernel, arguments, Positions<__integer_pack(sizeof...(T))...>());
}

void kernel(void** arguments);  // calls the source's kernel

}  // namespace emulator
