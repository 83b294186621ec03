// Vectors of floats from GCC's extensions, so that one source serves AVX-512, AVX2 and NEON; exp and tanh on them.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int kLanes = 16;  // floats in one register
#else
constexpr int kLanes = 8;
#endif

typedef float Lanes __attribute__((vector_size(kLanes * 4)));
typedef float F16 __attribute__((vector_size(64)));
typedef int32_t I16 __attribute__((vector_size(64)));

struct Bfloat {
    uint16_t bits;
};

inline float to_float(float value) { return value; }

inline float to_float(Bfloat value) {
    const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
    float result;
    std::memcpy(&result, &bits, 4);
    return result;
}

inline void store(float value, float *to) { *to = value; }

// Rounds to nearest, ties to even; NaN stays NaN.
inline void store(float value, Bfloat *to) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if (std::isnan(value)) {
        to->bits = static_cast<uint16_t>((bits >> 16) | 0x40);
    } else {
        to->bits = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
}

// Vectors of other numbers with as many lanes as V.
template <class V>
struct Alike;

template <>
struct Alike<F16> {
    typedef uint16_t Halves __attribute__((vector_size(32)));
    typedef uint32_t Words __attribute__((vector_size(64)));
    typedef int8_t Bytes __attribute__((vector_size(16)));
    typedef int32_t Integers __attribute__((vector_size(64)));
};

#if !defined(__AVX512F__)
template <>
struct Alike<Lanes> {
    typedef uint16_t Halves __attribute__((vector_size(16)));
    typedef uint32_t Words __attribute__((vector_size(32)));
    typedef int8_t Bytes __attribute__((vector_size(8)));
    typedef int32_t Integers __attribute__((vector_size(32)));
};
#endif

// The vector V read from as many consecutive numbers, converted to float.
template <class V>
inline V load(const float *from) {
    V result;
    std::memcpy(&result, from, sizeof(V));
    return result;
}

template <class V>
inline V load(const Bfloat *from) {
    typename Alike<V>::Halves halves;
    std::memcpy(&halves, from, sizeof(halves));
    return reinterpret_cast<V>(__builtin_convertvector(halves, typename Alike<V>::Words) << 16);
}

template <class V>
inline V load(const int8_t *from) {
    typename Alike<V>::Bytes bytes;
    std::memcpy(&bytes, from, sizeof(bytes));
    return __builtin_convertvector(__builtin_convertvector(bytes, typename Alike<V>::Integers), V);
}

#if defined(__AVX512F__)
// GCC 12 makes six instructions of the general conversions; the machine has one for each.
template <>
inline F16 load<F16>(const Bfloat *from) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from));
    return reinterpret_cast<F16>(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

template <>
inline F16 load<F16>(const int8_t *from) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(from));
    return reinterpret_cast<F16>(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)));
}
#endif

template <class V>
inline void save(V vector, float *to) {
    std::memcpy(to, &vector, sizeof(V));
}

// The first `count` lanes, the others replaced.
inline F16 only(F16 vector, int count, float other) {
    constexpr I16 kNumbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return kNumbers < count ? vector : F16{} + other;
}

inline F16 largest(F16 a, F16 b) { return a > b ? a : b; }

// Sum of the lanes in a fixed order: halves are folded.
inline float sum_of(F16 vector) {
    float lanes[16];
    std::memcpy(lanes, &vector, 64);
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}

inline float largest_of(F16 vector) {
    float lanes[16];
    std::memcpy(lanes, &vector, 64);
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] = lanes[i] > lanes[i + width] ? lanes[i] : lanes[i + width];
    return lanes[0];
}

// e^x to about 1e-7 relative; x is held to what a normal float can say (-87.3 to 88.3); NaN stays NaN.
inline F16 exp(F16 x) {
    const F16 lowest = F16{} - 87.3f, highest = F16{} + 88.3f;
    x = x < lowest ? lowest : x;
    x = x > highest ? highest : x;
    const F16 shifted = x * 1.44269504f + 12582912.0f;  // adding 1.5 * 2^23 rounds to an integer
    const F16 power = shifted - 12582912.0f;
    const F16 rest = (x - power * 0.693359375f) + power * 2.12194440e-4f;
    F16 sum = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * rest * rest + rest + 1.0f;
    const I16 exponent = (reinterpret_cast<I16>(shifted) - 0x4b400000 + 127) << 23;
    return sum * reinterpret_cast<F16>(exponent);
}

inline F16 tanh(F16 x) { return 1.0f - 2.0f / (exp(2.0f * x) + 1.0f); }

// values[i] = change(values[i], i) for all i < count, sixteen at a time.
template <class Change>
inline void change_each(float *values, int count, Change change) {
    int i = 0;
    for (; i + 16 <= count; i += 16) save(change(load<F16>(values + i), i, 16), values + i);
    if (i < count) {
        float tail[16] = {};
        std::memcpy(tail, values + i, (count - i) * 4);
        save(change(load<F16>(tail), i, count - i), tail);
        std::memcpy(values + i, tail, (count - i) * 4);
    }
}

// Like load, of the first `count` floats; the rest are 0.
inline F16 load_some(const float *from, int count) {
    if (count == 16) return load<F16>(from);
    float some[16] = {};
    std::memcpy(some, from, count * 4);
    return load<F16>(some);
}
