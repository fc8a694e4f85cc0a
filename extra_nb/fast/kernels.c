/* Operations between two matrix products of a decoding step, on bf16 numbers.
   nbs/fast/kernels.ipynb explains each of them.

   Compiled as it is, this file holds operations on whole rows. With D (size of a head) and G (query
   heads to a key head) defined, it holds attention for heads of that size instead. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
typedef uint16_t bf16;

static inline float wide(bf16 b) {
    uint32_t u = (uint32_t)b << 16;
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static inline bf16 narrow(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return (bf16)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

static inline float exp_(float y) {
    float x = y < -87.f ? -87.f : y, n = rintf(x * 1.44269504f);
    /* ln 2 in two parts: the first product is exact */
    float r = fmaf(n, -0.693359375f, x) + n * 2.12194440e-4f;
    float p = 1.f / 720;
    p = p * r + 1.f / 120;
    p = p * r + 1.f / 24;
    p = p * r + 1.f / 6;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.f;
    int32_t bits = ((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, 4);
    return y < -87.f ? 0.f : p * power;
}

#ifndef D

void rms_norm(const float *x, const float *w, float eps, bf16 *y, int64_t B, int64_t n) {
    #pragma omp parallel for
    for (int64_t b = 0; b < B; b++) {
        const float *row = x + b * n;
        float s = 0;
        #pragma omp simd reduction(+:s)
        for (int64_t i = 0; i < n; i++) s += row[i] * row[i];
        s = 1.f / sqrtf(s / n + eps);
        #pragma omp simd
        for (int64_t i = 0; i < n; i++) y[b * n + i] = narrow(row[i] * s * w[i]);
    }
}

void gated(const bf16 *x, bf16 *y, int64_t B, int64_t n) {
    #pragma omp parallel for
    for (int64_t b = 0; b < B; b++) {
        const bf16 *g = x + b * 2 * n, *u = g + n;
        #pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            float a = wide(g[i]), e = exp_(-fabsf(a));
            y[b * n + i] = narrow(a * (a > 0 ? 1.f : e) / (1.f + e) * wide(u[i]));
        }
    }
}

void draw(const bf16 *logits, const float *u, float T, int64_t *token, float *logprob,
          float *entropy, int64_t B, int64_t V) {
    const int64_t blocks = (V + 255) / 256;
    #pragma omp parallel for
    for (int64_t b = 0; b < B; b++) {
        const bf16 *z = logits + b * V;
        float top = -INFINITY, ends[blocks];
        double total = 0, dot = 0;
        #pragma omp simd reduction(max:top)
        for (int64_t v = 0; v < V; v++) top = wide(z[v]) > top ? wide(z[v]) : top;
        for (int64_t k = 0; k < blocks; k++) {
            float s = 0, d = 0;
            int64_t end = 256 * k + 256 < V ? 256 * k + 256 : V;
            #pragma omp simd reduction(+:s, d)
            for (int64_t v = 256 * k; v < end; v++) {
                float y = (wide(z[v]) - top) / T, e = exp_(y);
                s += e;
                d += e * (y < -87.f ? -87.f : y);  /* a logit may be -inf */
            }
            ends[k] = s, total += s, dot += d;
        }
        double left = u[b] * total;
        int64_t k = 0, best = -1;
        while (k < blocks - 1 && left >= ends[k]) left -= ends[k++];
        /* rounding may leave no token to exceed `left`: then the last possible one is taken, */
        /* from a block before this one if nothing in this one is possible */
        for (; best < 0 && k >= 0; k--)
            for (int64_t v = 256 * k; v < V && v < 256 * k + 256; v++) {
                float e = exp_((wide(z[v]) - top) / T);
                if (e > 0) best = v;
                if (left < e) break;
                left -= e;
            }
        if (best < 0) best = 0;  /* logits that are not numbers */
        token[b] = best;
        logprob[b] = (wide(z[best]) - top) / T - log(total);
        entropy[b] = log(total) - dot / total;
    }
}

#else

#define N (D / 16)
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < n; i++)
typedef float vec __attribute__((vector_size(64)));
typedef uint32_t uvec __attribute__((vector_size(64)));
typedef uint16_t half __attribute__((vector_size(32)));

static inline vec load(const bf16 *p) {
    half h;
    memcpy(&h, p, 32);
    return (vec)(__builtin_convertvector(h, uvec) << 16);
}

static inline void rotate(const bf16 *x, const float *c, const float *s, float *y) {
    #pragma omp simd
    for (int d = 0; d < D / 2; d++) {
        float a = wide(x[d]), b = wide(x[d + D / 2]);
        y[d] = a * c[d] - b * s[d];
        y[d + D / 2] = b * c[d + D / 2] + a * s[d + D / 2];
    }
}

static inline void prefix_scores(float q[G][D], const bf16 *keys, int64_t W, float *score,
                                 int64_t n) {
    for (int64_t c = 0; c < W; c += 32) {
        vec s[G][2];
        EACH(j, G) s[j][0] = s[j][1] = (vec){0};
        for (int d = 0; d < D; d++) {
            vec k0 = load(keys + d * W + c), k1 = load(keys + d * W + c + 16);
            EACH(j, G) s[j][0] += q[j][d] * k0, s[j][1] += q[j][d] * k1;
        }
        EACH(j, G) memcpy(score + j * n + c, s[j], 128);
    }
}

static inline void own_scores(float q[G][D], const bf16 *keys, int64_t columns, float *score,
                              int64_t n) {
    vec w[G][N];
    EACH(j, G) memcpy(w[j], q[j], sizeof q[j]);
    for (int64_t c = 0; c < columns; c++) {
        vec k[N];
        EACH(i, N) k[i] = load(keys + c * D + 16 * i);
        EACH(j, G) {
            vec s = w[j][0] * k[0];
            for (int i = 1; i < N; i++) s += w[j][i] * k[i];
            float sum = 0;
            for (int l = 0; l < 16; l++) sum += s[l];
            score[j * n + c] = sum;
        }
    }
}

static inline float weigh(float *score, const uint8_t *empty, int64_t columns) {
    float top = -INFINITY, sum = 0;
    #pragma omp simd reduction(max:top)
    for (int64_t c = 0; c < columns; c++)
        top = !empty[c] && score[c] > top ? score[c] : top;
    #pragma omp simd reduction(+:sum)
    for (int64_t c = 0; c < columns; c++) {
        float e = exp_(score[c] - top);
        sum += score[c] = empty[c] ? 0.f : e;
    }
    return sum;
}

static inline void mix(vec out[G][N], const float *p, int64_t n, const bf16 *values,
                       int64_t columns) {
    for (int64_t c = 0; c < columns; c++)
        EACH(i, N) {
            vec v = load(values + c * D + 16 * i);
            EACH(j, G) out[j][i] += p[j * n + c] * v;
        }
}

void attend(const bf16 *qkv, const float *cosines, const float *sines, float scale, bf16 *keys,
            bf16 *values, int64_t C, int64_t column, const bf16 *prefix_keys,
            const bf16 *prefix_values, const int64_t *which, int64_t w, const uint8_t *empty,
            bf16 *out, int64_t B, int64_t H) {
    const int64_t W = (w + 31) / 32 * 32, own = column + 1, n = W + own;
    #pragma omp parallel
    {
    float *score = malloc(G * n * sizeof(float));
    #pragma omp for
    for (int64_t task = 0; task < B * H; task++) {
        const int64_t b = task / H, h = task % H, prefix = w ? which[b] * H + h : 0;
        const bf16 *row = qkv + b * (G + 2) * H * D;
        const float *c = cosines + b * D, *s = sines + b * D;
        bf16 *K = keys + task * C * D, *V = values + task * C * D;
        float q[G][D], k[D];
        EACH(j, G) {
            rotate(row + (h * G + j) * D, c, s, q[j]);
            for (int d = 0; d < D; d++) q[j][d] *= scale;
        }
        rotate(row + (G * H + h) * D, c, s, k);
        for (int d = 0; d < D; d++) K[column * D + d] = narrow(k[d]);
        memcpy(V + column * D, row + ((G + 1) * H + h) * D, D * sizeof(bf16));

        vec sums[G][N];
        EACH(j, G) EACH(i, N) sums[j][i] = (vec){0};
        if (w) prefix_scores(q, prefix_keys + prefix * W * D, W, score, n);
        own_scores(q, K, own, score + w, n);  /* over the columns that fill up the prefix */
        float total[G];
        EACH(j, G) total[j] = weigh(score + j * n, empty + b * (w + C), w + own);
        if (w) mix(sums, score, n, prefix_values + prefix * w * D, w);
        mix(sums, score + w, n, V, own);
        EACH(j, G) {
            float mixed[D], share = 1.f / total[j];
            memcpy(mixed, sums[j], sizeof mixed);
            for (int d = 0; d < D; d++)
                out[((b * H + h) * G + j) * D + d] = narrow(mixed[d] * share);
        }
    }
    free(score);
    }
}

#endif
