// Plain SGD at batch size 1, one replicate on one cluster of 8 thread blocks: the whole epoch in one launch.
//
// Partition. A warp owns 5 units of the first hidden layer: it holds each one's 784 incoming weights in the
// registers of its 32 lanes (125 per lane), and its 100 outgoing weights (20 per lane). Of the cluster's 64
// warps, 60 own the 300 units; the last 4 own none, hold zeros and take part in everything, so that they need
// no separate code. The work after the second hidden layer's sums is small, and every block does it
// redundantly: the same operations in the same order on the same numbers. So all blocks keep bitwise the same
// second and third biases and output layer without communicating.
//
//   lane l of a warp   weight1[i][m]   from pixel 32 m + l to its unit i (25 m; past pixel 784 they stay 0)
//                      weight2[i][k]   from its unit i to sum 4 l + k of the second layer (0 from sum 100)
//                      bias1[i]        the same in all lanes
//   thread j < 100     bias2           of unit j of the second layer
//                      bias3[c]        the same in all these threads
//   block              weight3[c][j]   in shared memory
//
// A step on example t, image x(t). The rules are barriers of the block.
//
//   1  hidden1 = relu(bias1 + weight1 x(t)), most of which `ahead` already contains (see 3)
//      the warp's part of the second layer's sums, over its 5 units
//   -------------------------------------------------------------------------------------------------------
//   2  thread j: the block's share of sum j, over its warps; stored into all 8 blocks' shared memory;
//      the cluster's only barrier begins
//   3  during the barrier, work that no other block needs: weight1 takes the update of example t-1, the image
//      of t+3 is requested, and for the next step ahead = weight1 x(t+1) and overlap = x(t) x(t+1)
//      the cluster's barrier ends
//   4  thread j: hidden2 = sigmoid(bias2 + the 8 shares)
//   -------------------------------------------------------------------------------------------------------
//   5  16 lanes per class: the logits
//   -------------------------------------------------------------------------------------------------------
//   6  thread j: softmax, delta3, delta2 with the old weight3; updates weight3, bias3, bias2
//   -------------------------------------------------------------------------------------------------------
//   7  delta1 with the old weight2; updates weight2, bias1
//
// weight1 lags one example behind, which does not change the result. SGD's update of example t adds
// step1 x(t) to a unit's weights, step1 = -rate delta1, so their sum over the next example is
//   (weight1 + step1 x(t)) x(t+1) = ahead + step1 overlap.
// So the two passes over weight1, most of a step's arithmetic, overlap with the exchange of the shares.
//
// Races are excluded. A block's arrival at the cluster's barrier releases its stores to its peers, and the
// wait acquires theirs. A block stores shares of step t+2 over those of step t (there are two buffers) only
// after the barrier of t+1, at which its peers arrive after reading step t's shares. No block's shared memory
// is accessed before it has started (the barrier at the beginning) or after it may have ended (it waits at the
// last step's barrier, and nothing is stored after that). Within a block, memory that is written between two
// of the rules above is written again only in the next step, three rules later.
//
// With ASYNC_STORES defined, st.async sends the shares instead, and a step has no cluster barrier. Each buffer
// of shares has an mbarrier in its block, which waits for the bytes of all 8 blocks; only the threads that
// read the shares wait there. No share is overwritten too early, for the same reason as above: a thread that
// has all shares of t+1 knows that their senders had read those of t, which they needed to compute them. Both
// ways give bitwise the same result.
//
// Every sum has one fixed order, and nothing is added atomically, so a replicate's result does not depend on
// the other replicates. All numbers are float32.

constexpr int PIXELS = 784;
constexpr int HIDDEN1 = 300;
constexpr int HIDDEN2 = 100;
constexpr int CLASSES = 10;

constexpr int BLOCKS = 8;                // in a cluster: the most that every such GPU supports
constexpr int WARPS = 8;                 // in a block: two for each of a multiprocessor's schedulers
constexpr int LANES = 32;                // in a warp
constexpr int THREADS = WARPS * LANES;   // in a block
constexpr int UNITS = 5;                 // of the first hidden layer in a warp: 60 * 5 = 300
constexpr int CHUNKS = 25;               // of 32 pixels in an image; the last is half empty
constexpr int FOUR = 4;                  // sums of the second layer per lane: 25 * 4 = 100
constexpr int HALF = 16;                 // lanes that sum a logit
constexpr int TERMS = 7;                 // of a logit per lane: 16 * 7 >= 100
constexpr int SLOTS = 8;                 // for images in shared memory: t-1 to t+3 are in use
constexpr int AHEAD = 3;                 // steps by which an image is requested ahead

static_assert(HIDDEN1 % UNITS == 0, "a warp owns 5 units or none");
static_assert(SLOTS >= AHEAD + 2 && (SLOTS & (SLOTS - 1)) == 0, "slot numbers wrap around with a mask");

// A block's shared memory, within the 48 KiB that any kernel may have. Data that is accessed 16 bytes at a time
// is declared as such, so that its type aligns it. A 16-byte access to anything else may trap.
struct Shared {                              // bytes
    float4 image[SLOTS][CHUNKS * LANES / 4]; // 25,600: zeros past pixel 784
    float4 partial[WARPS][LANES];            //  4,096: a warp's part of the second layer's sums
    float4 delta2[LANES];                    //    512: zeros past unit 100
    long long label[SLOTS];                  //     64
#ifdef ASYNC_STORES
    long long received[2];                   //     16: the mbarriers of `share`
#endif
    float share[2][BLOCKS][HIDDEN2];         //  6,400: what the blocks sent, for even and odd steps
    float hidden2[HALF * TERMS];             //    448: zeros past unit 100
    float weight3[CLASSES][HALF * TERMS];    //  4,480: likewise
    float logit[CLASSES];                    //     40: without the bias
    float overlap[WARPS];                    //     32: a warp's part of x(t) x(t+1)
};                                           // 41,680 with padding, 41,696 with ASYNC_STORES

// Whether a type is aligned to its size, which a single access to all of it requires.
template <typename T>
constexpr bool IS_VECTOR = sizeof(T) == alignof(T);

static_assert(IS_VECTOR<float4> && sizeof(float4) == FOUR * sizeof(float), "a lane's sums are one vector");
static_assert(alignof(decltype(Shared::image)) == 16, "images are copied in vectors");
static_assert(alignof(decltype(Shared::partial)) == 16, "sums are written in vectors");
static_assert(alignof(decltype(Shared::delta2)) == 16, "delta2 is read in vectors");
static_assert(PIXELS % 4 == 0, "every image begins where a vector may, if the first one does");

__device__ unsigned shared_address(const void* pointer) {
    return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// Copies 8 or 16 bytes from global to shared memory asynchronously.
template <typename T>
__device__ void copy(T* to, const T* from) {
    static_assert(IS_VECTOR<T>, "the object is copied in a single access");
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;"
                 ::"r"(shared_address(to)), "l"(__cvta_generic_to_global(from)),
                   "n"(static_cast<int>(sizeof(T))) : "memory");
}

// Waits until all but the thread's `pending` newest groups of copies have completed.
template <int pending>
__device__ void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

// Requests one example: the whole block starts the copies, as one group per thread.
__device__ void send_for(const float* image, const long long* label, int slot, Shared& shared) {
    const int thread = threadIdx.x;
    if (thread < PIXELS / 4)
        copy(&shared.image[slot][thread], reinterpret_cast<const float4*>(image) + thread);
    else if (thread == PIXELS / 4)
        copy(&shared.label[slot], label);
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// The vectors' numbers as one array.
__device__ float* floats(float4* vectors) { return reinterpret_cast<float*>(vectors); }

// Stores `value` in block `rank` of the cluster, at the place of `address` in this block.
__device__ void store_in(unsigned rank, unsigned address, float value) {
    unsigned there;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
    asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(there), "f"(value) : "memory");
}

#ifdef ASYNC_STORES
// The same, asynchronously; then the mbarrier in that block, at the place of `received`, counts its bytes.
__device__ void send_to(unsigned rank, unsigned address, float value, unsigned received) {
    unsigned there, received_there;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(received_there) : "r"(received), "r"(rank));
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.f32 [%0], %1, [%2];"
                 ::"r"(there), "f"(value), "r"(received_there) : "memory");
}

// Initialises an mbarrier at which one thread arrives, to announce the bytes of each phase.
__device__ void begin_receiving(unsigned received) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(received) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ void expect(unsigned received, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
                 ::"r"(received), "r"(bytes) : "memory");
}

// Waits for the end of the mbarrier's first phase (parity 0), its second (1), its third (0), and so on.
__device__ void wait_for_shares(unsigned received, int parity) {
    unsigned done;
    do
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2; "
                     "selp.u32 %0, 1, 0, p; }" : "=r"(done) : "r"(received), "r"(parity) : "memory");
    while (!done);
}
#endif

// Only a warp that has stored into other blocks, or read shares that they will overwrite, needs to release. The
// others need not wait for the fence.
__device__ void arrive_at_cluster_barrier(bool release) {
    if (release)
        asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
    else
        asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
}

__device__ void wait_at_cluster_barrier() {
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// Sums each value over groups of `lanes` lanes; every lane gets the sums, bitwise the same.
template <int lanes, int count>
__device__ void sum_over(float (&values)[count]) {
#pragma unroll
    for (int distance = lanes / 2; distance > 0; distance /= 2)
#pragma unroll
        for (int i = 0; i < count; i++)
            values[i] += __shfl_xor_sync(0xffffffff, values[i], distance);
}

// Phase 3's pass over the warp's weight1: adds step1 * before to it, then weight1 * next to sums[0..4].
__device__ __forceinline__ void update_and_multiply(float (&weight1)[UNITS][CHUNKS],
                                                    const float (&step1)[UNITS], const float* before,
                                                    const float* next, float (&sums)[UNITS + 1]) {
    const int lane = threadIdx.x % LANES;
#pragma unroll
    for (int m = 0; m < CHUNKS; m++) {
        const float old_pixel = before[m * LANES + lane], new_pixel = next[m * LANES + lane];
#pragma unroll
        for (int i = 0; i < UNITS; i++) {
            weight1[i][m] += step1[i] * old_pixel;
            sums[i] += weight1[i][m] * new_pixel;
        }
    }
}

// Trains replicate blockIdx.x / BLOCKS on examples orders[replicate][0] to orders[replicate][count - 1].
//
// images (any, 784), 16-byte aligned, and labels (any); orders (replicates, count); the parameters, in and
// out, are stacked as by model.network.stack_parameters: weights (replicates, in, out), biases (replicates,
// out).
extern "C" __global__ void __launch_bounds__(THREADS, 1)
train(const float* images, const long long* labels, const long long* orders, int count, float rate,
      float* all_weight1, float* all_bias1, float* all_weight2, float* all_bias2, float* all_weight3,
      float* all_bias3) {
    if (count == 0) return;
    __shared__ Shared shared;
    const int thread = threadIdx.x, warp = thread / LANES, lane = thread % LANES;
    const int rank = blockIdx.x % BLOCKS;
    const size_t replicate = blockIdx.x / BLOCKS;
    const long long* order = orders + replicate * count;
    const int first_unit = (rank * WARPS + warp) * UNITS;
    const bool owner = first_unit < HIDDEN1;

    all_weight1 += (replicate * PIXELS + lane) * HIDDEN1 + first_unit;
    all_bias1 += replicate * HIDDEN1 + first_unit;
    all_weight2 += (replicate * HIDDEN1 + first_unit) * HIDDEN2 + lane * FOUR;
    all_bias2 += replicate * HIDDEN2;
    all_weight3 += replicate * HIDDEN2 * CLASSES;
    all_bias3 += replicate * CLASSES;

    for (int i = thread; i < sizeof(Shared) / sizeof(float); i += THREADS)
        reinterpret_cast<float*>(&shared)[i] = 0;
    __syncthreads();

    // Past its end the order repeats its last example, which is requested but never used.
    long long example;
    for (int t = 0; t < AHEAD; t++) {
        example = order[min(t, count - 1)];
        send_for(images + example * PIXELS, labels + example, t, shared);
    }
    example = order[min(AHEAD, count - 1)];

    float weight1[UNITS][CHUNKS], weight2[UNITS][FOUR], bias1[UNITS], bias2 = 0, bias3[CLASSES];
#pragma unroll
    for (int i = 0; i < UNITS; i++) {
#pragma unroll
        for (int m = 0; m < CHUNKS; m++)
            weight1[i][m] = owner && m * LANES + lane < PIXELS ? all_weight1[m * LANES * HIDDEN1 + i] : 0;
#pragma unroll
        for (int k = 0; k < FOUR; k++)
            weight2[i][k] = owner && lane * FOUR + k < HIDDEN2 ? all_weight2[i * HIDDEN2 + k] : 0;
        bias1[i] = owner ? all_bias1[i] : 0;
    }
    if (thread < HIDDEN2) {
        bias2 = all_bias2[thread];
        for (int c = 0; c < CLASSES; c++) shared.weight3[c][thread] = all_weight3[thread * CLASSES + c];
    }
#pragma unroll
    for (int c = 0; c < CLASSES; c++) bias3[c] = all_bias3[c];

#ifdef ASYNC_STORES
    constexpr int SHARES = BLOCKS * HIDDEN2 * sizeof(float);
    if (thread < 2) {
        begin_receiving(shared_address(&shared.received[thread]));
        expect(shared_address(&shared.received[thread]), SHARES);
    }
#endif
    wait_for_copies<0>();
    arrive_at_cluster_barrier(true);  // of all 8 blocks: each has started and cleared its shared memory
    wait_at_cluster_barrier();

    // Before the first step there is no update: step1 and the slot of x(-1) are 0.
    float step1[UNITS] = {}, ahead[UNITS + 1] = {}, overlap = 0;
    update_and_multiply(weight1, step1, floats(shared.image[SLOTS - 1]), floats(shared.image[0]), ahead);
    sum_over<LANES>(ahead);

    for (int t = 0; t < count; t++) {
        const float* before = floats(shared.image[(t - 1) & (SLOTS - 1)]);
        const float* now = floats(shared.image[t & (SLOTS - 1)]);
        const float* next = floats(shared.image[(t + 1) & (SLOTS - 1)]);

        // 1: the comparison lets NaN stay NaN, as in torch.relu.
        float hidden1[UNITS], part[FOUR] = {};
#pragma unroll
        for (int i = 0; i < UNITS; i++) {
            const float sum = bias1[i] + (ahead[i] + step1[i] * overlap);
            hidden1[i] = sum <= 0 ? 0 : sum;
#pragma unroll
            for (int k = 0; k < FOUR; k++) part[k] += hidden1[i] * weight2[i][k];
        }
        shared.partial[warp][lane] = {part[0], part[1], part[2], part[3]};
        wait_for_copies<AHEAD - 2>();  // of x(t+1), which every thread reads below
        __syncthreads();

        // 2
#ifdef ASYNC_STORES
        const unsigned received = shared_address(&shared.received[t & 1]);
#endif
        if (thread < HIDDEN2) {
            float share = 0;
#pragma unroll
            for (int w = 0; w < WARPS; w++) share += floats(shared.partial[w])[thread];
            const unsigned address = shared_address(&shared.share[t & 1][rank][thread]);
#ifdef ASYNC_STORES
#pragma unroll
            for (int r = 0; r < BLOCKS; r++) send_to(r, address, share, received);
        }
#else
#pragma unroll
            for (int r = 0; r < BLOCKS; r++) store_in(r, address, share);
        }
        arrive_at_cluster_barrier(warp * LANES < HIDDEN2);  // the warps that store here and read in 4
#endif

        // 3: the next index is loaded a step before it is needed, so no step waits for it.
        send_for(images + example * PIXELS, labels + example, (t + AHEAD) & (SLOTS - 1), shared);
        example = order[min(t + AHEAD + 1, count - 1)];
#pragma unroll
        for (int i = 0; i <= UNITS; i++) ahead[i] = 0;
#pragma unroll
        for (int first = 0; first < PIXELS; first += THREADS)
            if (first + thread < PIXELS) ahead[UNITS] += now[first + thread] * next[first + thread];
        update_and_multiply(weight1, step1, before, next, ahead);
        sum_over<LANES>(ahead);
        if (lane == 0) shared.overlap[warp] = ahead[UNITS];
#ifndef ASYNC_STORES
        wait_at_cluster_barrier();
#endif

        // 4
        float hidden2 = 0;
        if (thread < HIDDEN2) {
#ifdef ASYNC_STORES
            wait_for_shares(received, t / 2 & 1);
            if (thread == 0) expect(received, SHARES);  // of step t+2
#endif
            float sum = bias2;
#pragma unroll
            for (int r = 0; r < BLOCKS; r++) sum += shared.share[t & 1][r][thread];
            hidden2 = 1 / (1 + expf(-sum));
            shared.hidden2[thread] = hidden2;
        }
        __syncthreads();

        // 5
        if (thread < CLASSES * HALF) {
            const int c = thread / HALF;
            float logit[1] = {};
#pragma unroll
            for (int k = 0; k < TERMS; k++) {
                const int j = k * HALF + thread % HALF;
                logit[0] += shared.weight3[c][j] * shared.hidden2[j];
            }
            sum_over<HALF>(logit);
            if (thread % HALF == 0) shared.logit[c] = logit[0];
        }
        __syncthreads();

        // 6
        if (thread < HIDDEN2) {
            float delta3[CLASSES];
#pragma unroll
            for (int c = 0; c < CLASSES; c++) delta3[c] = shared.logit[c] + bias3[c];
            float largest = delta3[0], total = 0, delta2 = 0;
#pragma unroll
            for (int c = 1; c < CLASSES; c++) largest = fmaxf(largest, delta3[c]);
#pragma unroll
            for (int c = 0; c < CLASSES; c++) {
                delta3[c] = expf(delta3[c] - largest);
                total += delta3[c];
            }
            const int label = static_cast<int>(shared.label[t & (SLOTS - 1)]);
            const float scale = 1 / total;
#pragma unroll
            for (int c = 0; c < CLASSES; c++) {
                delta3[c] = delta3[c] * scale - (c == label ? 1 : 0);
                const float weight = shared.weight3[c][thread];
                delta2 += delta3[c] * weight;
                shared.weight3[c][thread] = weight - rate * delta3[c] * hidden2;
                bias3[c] -= rate * delta3[c];
            }
            delta2 *= (1 - hidden2) * hidden2;
            bias2 -= rate * delta2;
            floats(shared.delta2)[thread] = delta2;
        }
        __syncthreads();

        // 7
        const float4 four = shared.delta2[lane];
        const float delta2[FOUR] = {four.x, four.y, four.z, four.w};
        float delta1[UNITS] = {};
        overlap = 0;
#pragma unroll
        for (int w = 0; w < WARPS; w++) overlap += shared.overlap[w];
#pragma unroll
        for (int i = 0; i < UNITS; i++)
#pragma unroll
            for (int k = 0; k < FOUR; k++) {
                delta1[i] += weight2[i][k] * delta2[k];
                weight2[i][k] -= rate * hidden1[i] * delta2[k];
            }
        sum_over<LANES>(delta1);
#pragma unroll
        for (int i = 0; i < UNITS; i++) {
            step1[i] = hidden1[i] == 0 ? 0 : -rate * delta1[i];
            bias1[i] += step1[i];
        }
    }

    // The update of the last example remains; the next slot's content does not matter.
    update_and_multiply(weight1, step1, floats(shared.image[(count - 1) & (SLOTS - 1)]),
                        floats(shared.image[count & (SLOTS - 1)]), ahead);
    wait_for_copies<0>();  // no copy may complete after its block has ended

    if (owner) {
#pragma unroll
        for (int i = 0; i < UNITS; i++) {
#pragma unroll
            for (int m = 0; m < CHUNKS; m++)
                if (m * LANES + lane < PIXELS) all_weight1[m * LANES * HIDDEN1 + i] = weight1[i][m];
#pragma unroll
            for (int k = 0; k < FOUR; k++)
                if (lane * FOUR + k < HIDDEN2) all_weight2[i * HIDDEN2 + k] = weight2[i][k];
            if (lane == 0) all_bias1[i] = bias1[i];
        }
    }
    if (rank == 0 && thread < HIDDEN2) {
        all_bias2[thread] = bias2;
        for (int c = 0; c < CLASSES; c++) all_weight3[thread * CLASSES + c] = shared.weight3[c][thread];
    }
    if (rank == 0 && thread == 0) {
#pragma unroll
        for (int c = 0; c < CLASSES; c++) all_bias3[c] = bias3[c];
    }
}
