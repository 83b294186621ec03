// Products on the matrix unit of x86 (AMX): 16 rows by 16 outputs at a time. Included by matrix.h where the compiler has it.
//
// An activation is split into a high and a low part, each as narrow as the weights, so that little of its precision is
// lost: int8 parts are exact sums of integers, bfloat16 parts keep 16 bits. A tile's rows never meet each other, so one
// row gives the same bits as sixteen.
#pragma once

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

// Asks the kernel, once a process, for leave to use the tile registers.
inline bool may_use_tiles() {
    constexpr int kAskForState = 0x1023, kTileData = 18;
    static const bool may = syscall(SYS_arch_prctl, kAskForState, kTileData) == 0;
    return may;
}

struct alignas(64) TileShapes {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
};

inline void release_tiles() { _tile_release(); }

inline void Matrix::prepare(Activations &rows, int index) const {
    if (!in_tiles_) return;
    const float *from = rows.row(index);
    const size_t first = (static_cast<size_t>(index / kTileRows) * steps()) * kTileBytes + index % kTileRows * 64;
    uint8_t *high = rows.high.get() + first, *low = rows.low.get() + first;
    if (storage_ == Storage::kBfloat) {
        for (int step = 0; step * 32 < inputs_; step++)
            for (int half = 0; half < 2; half++) {
                const int begin = step * 32 + half * 16;
                const int count = inputs_ - begin < 16 ? (inputs_ > begin ? inputs_ - begin : 0) : 16;
                const __m512 value = reinterpret_cast<__m512>(load_some(from + begin, count));
                const __m256bh upper = _mm512_cvtneps_pbh(value);
                const __m512 kept = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)upper), 16));
                const __m256bh rest = _mm512_cvtneps_pbh(_mm512_sub_ps(value, kept));
                std::memcpy(high + static_cast<size_t>(step) * kTileBytes + half * 32, &upper, 32);
                std::memcpy(low + static_cast<size_t>(step) * kTileBytes + half * 32, &rest, 32);
            }
        return;
    }
    F16 peaks = {}, strange = {};
    for (int begin = 0; begin < inputs_; begin += 16) {
        const F16 value = load_some(from + begin, inputs_ - begin < 16 ? inputs_ - begin : 16);
        peaks = largest(value < 0.0f ? -value : value, peaks);
        strange += value * 0.0f;  // NaN where the value is NaN or infinite
    }
    const float peak = largest_of(peaks);
    const float to_steps = peak > 0.0f ? kSteps / peak : 0.0f;
    rows.scales[index] = peak / kSteps + sum_of(strange);
    for (int begin = 0; begin < inputs_; begin += 16) {
        const F16 value = load_some(from + begin, inputs_ - begin < 16 ? inputs_ - begin : 16);
        const __m512i whole = _mm512_cvtps_epi32(reinterpret_cast<__m512>(value * to_steps));
        const __m512i upper = _mm512_srai_epi32(_mm512_add_epi32(whole, _mm512_set1_epi32(kFine / 2)), 7);
        const __m512i rest = _mm512_sub_epi32(whole, _mm512_slli_epi32(upper, 7));
        const size_t at = static_cast<size_t>(begin / 64) * kTileBytes + begin % 64;
        _mm_storeu_si128(reinterpret_cast<__m128i *>(high + at), _mm512_cvtepi32_epi8(upper));
        _mm_storeu_si128(reinterpret_cast<__m128i *>(low + at), _mm512_cvtepi32_epi8(rest));
    }
}

template <bool IS_INT8>
void Matrix::multiply_tiles(const Activations &rows, int first_row, int num_rows, Range panels, const float *bias,
                            bool is_added, float *to, int to_width) const {
    constexpr int kNear = 256;  // bytes that are fetched ahead; further ahead was measured to be slower
    alignas(64) float sums[4][16 * 16];
    const int num_steps = steps();
    const size_t panel_bytes = static_cast<size_t>(num_steps) * 2 * kTileBytes;
    for (int panel = panels.begin; panel < panels.end; panel++) {
        const uint8_t *weights = weights_.get() + panel * panel_bytes;
        for (int done = 0; done < num_rows; done += kTileRows) {
            const size_t first = static_cast<size_t>((first_row + done) / kTileRows) * num_steps * kTileBytes;
            const uint8_t *high = rows.high.get() + first, *low = rows.low.get() + first;
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
            for (int step = 0; step < num_steps; step++) {
                const uint8_t *tile = weights + static_cast<size_t>(step) * 2 * kTileBytes;
                for (int line = 0; done == 0 && line < 2 * kTileBytes; line += 64)
                    _mm_prefetch(tile + kNear + line, _MM_HINT_T0);
                _tile_loadd(4, high + static_cast<size_t>(step) * kTileBytes, 64);
                _tile_loadd(5, low + static_cast<size_t>(step) * kTileBytes, 64);
                _tile_loadd(6, tile, 64);
                _tile_loadd(7, tile + kTileBytes, 64);
                if (IS_INT8) {
                    _tile_dpbssd(0, 4, 6);
                    _tile_dpbssd(1, 4, 7);
                    _tile_dpbssd(2, 5, 6);
                    _tile_dpbssd(3, 5, 7);
                } else {
                    _tile_dpbf16ps(0, 4, 6);
                    _tile_dpbf16ps(1, 4, 7);
                    _tile_dpbf16ps(2, 5, 6);
                    _tile_dpbf16ps(3, 5, 7);
                }
            }
            _tile_stored(0, sums[0], 64);
            _tile_stored(1, sums[1], 64);
            _tile_stored(2, sums[2], 64);
            _tile_stored(3, sums[3], 64);
            const int count = num_rows - done < kTileRows ? num_rows - done : kTileRows;
            for (int r = 0; r < count; r++) {
                float row_sums[kPanel];
                for (int half = 0; half < 2; half++) {
                    if (IS_INT8) {
                        const I16 upper = reinterpret_cast<I16 *>(sums[half])[r], rest = reinterpret_cast<I16 *>(sums[2 + half])[r];
                        const F16 sum = __builtin_convertvector(upper, F16) * static_cast<float>(kFine) +
                                        __builtin_convertvector(rest, F16);
                        save(sum * rows.scales[first_row + done + r], row_sums + half * 16);
                    } else {
                        const F16 upper = load<F16>(sums[half] + r * 16), rest = load<F16>(sums[2 + half] + r * 16);
                        save(upper + rest, row_sums + half * 16);
                    }
                }
                write(row_sums, panel, bias, is_added, to + static_cast<size_t>(done + r) * to_width);
            }
        }
    }
}

// Before products on tiles, in each thread.
inline void set_up_tiles() {
    TileShapes shapes;
    for (int tile = 0; tile < 8; tile++) {
        shapes.row_bytes[tile] = 64;
        shapes.rows[tile] = kTileRows;
    }
    _tile_loadconfig(&shapes);
}
