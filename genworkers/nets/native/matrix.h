// Packed weight matrices and their products with rows of activations.
//
// Every output of every row is summed in one fixed order over the inputs, however many rows there are: that is why a
// sequence's numbers never depend on its company. Panels of 32 outputs (16 on narrow machines) lie one after another, each
// read from front to back, so that a product with one row is a plain stream through memory.
#pragma once

#include <sys/mman.h>

#include <memory>
#include <new>
#include <vector>

#include "team.h"
#include "vectors.h"

#if defined(__AMX_INT8__) && defined(__AMX_BF16__) && defined(__AVX512BF16__)
#define HAS_TILES 1
#else
#define HAS_TILES 0
#endif

enum class Storage : int { kFloat = 0, kBfloat = 1, kInt8 = 2 };

struct Unmap {
    size_t bytes = 0;

    void operator()(void *memory) const { munmap(memory, bytes); }
};

template <class T>
using Buffer = std::unique_ptr<T[], Unmap>;

// Zeroed memory in large pages where the system has them; pages that nobody touches cost nothing.
template <class T>
Buffer<T> make_buffer(size_t count) {
    constexpr size_t kLargePage = 1 << 21;
    const size_t wanted = count * sizeof(T) + 4096;  // products fetch a little beyond the end
    const size_t unit = wanted < kLargePage ? 4096 : kLargePage;
    const size_t bytes = (wanted + unit - 1) / unit * unit;
    void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    if (bytes >= kLargePage) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return Buffer<T>(static_cast<T *>(memory), Unmap{bytes});
}

constexpr int kPanel = 2 * kLanes;  // outputs that are computed together
constexpr int kAhead = 512;         // bytes of weights that are fetched before they are needed
constexpr int kTileRows = 16;
constexpr int kTileBytes = 1024;
constexpr int kFine = 128;  // an activation is kFine * high + low, in units of its row's scale
constexpr float kSteps = 127.0f * kFine;

inline int rounded_up(int count, int unit) { return (count + unit - 1) / unit * unit; }

// Rows of activations that a product reads: as floats and, where the matrix is in tiles, as two parts of half the bits.
struct Activations {
    int width = 0;            // numbers in a row
    Buffer<float> floats;     // (rows, width)
    Buffer<uint8_t> high, low;  // (rows / 16, steps over the width, 16 rows, 64 bytes)
    Buffer<float> scales;     // (rows), of int8 parts

    void reserve(int rows, int columns) {
        width = columns;
        floats = make_buffer<float>(static_cast<size_t>(rows) * columns);
#if HAS_TILES
        const size_t bytes = static_cast<size_t>(rounded_up(rows, kTileRows)) * rounded_up(columns, 64) * 2;
        high = make_buffer<uint8_t>(bytes);
        low = make_buffer<uint8_t>(bytes);
        scales = make_buffer<float>(rounded_up(rows, kTileRows));
#endif
    }

    float *row(int index) const { return floats.get() + static_cast<size_t>(index) * width; }
};

class Matrix {
  public:
    // Packs (outputs, inputs) numbers, given by at(output, input) as floats.
    template <class At>
    void pack(int outputs, int inputs, Storage storage, bool in_tiles, At at);

    int outputs() const { return outputs_; }
    int num_panels() const { return rounded_up(outputs_, kPanel) / kPanel; }
    size_t bytes() const { return bytes_ + scales_.size() * sizeof(float); }

    // One row of the matrix as floats, as it was stored.
    void unpack(int output, float *to) const;

    // Splits row `index` of the activations into the parts that products with this matrix read.
    void prepare(Activations &rows, int index) const;

    // to[row][output] = sum over inputs (+ bias[output]), or is added to, for the panels of `panels`.
    void multiply(const Activations &rows, int first_row, int num_rows, Range panels, const float *bias, bool is_added,
                  float *to, int to_width) const;

  private:
    int steps() const { return (inputs_ + step_inputs() - 1) / step_inputs(); }
    int step_inputs() const { return storage_ == Storage::kInt8 ? 64 : 32; }  // that one tile holds
    size_t place(int output, int input) const;

    template <class T>
    void multiply_lanes(const Activations &rows, int first_row, int num_rows, int panel, const float *bias, bool is_added,
                        float *to, int to_width) const;
    template <class T, int R>
    void block_of_rows(const Activations &rows, int first_row, int panel, const float *bias, bool is_added, float *to,
                       int to_width) const;
    template <bool IS_INT8>
    void multiply_tiles(const Activations &rows, int first_row, int num_rows, Range panels, const float *bias, bool is_added,
                        float *to, int to_width) const;
    void write(const float *sums, int panel, const float *bias, bool is_added, float *to) const;

    int outputs_ = 0, inputs_ = 0;
    Storage storage_ = Storage::kFloat;
    bool in_tiles_ = false;
    size_t bytes_ = 0;
    Buffer<uint8_t> weights_;
    std::vector<float> scales_;  // of each output, int8 only
};

// Index of a weight among the packed ones.
inline size_t Matrix::place(int output, int input) const {
    const size_t panel = output / kPanel;
    const int within = output % kPanel;
    if (!in_tiles_) return (panel * inputs_ + input) * kPanel + within;
    const int group = storage_ == Storage::kInt8 ? 4 : 2;  // inputs that lie together, as the tile product wants them
    const int step_size = step_inputs() * 16;
    const int step = input / step_inputs(), rest = input % step_inputs();
    const size_t tile = (panel * steps() + step) * 2 + within / 16;
    return tile * step_size + (rest / group) * 16 * group + (within % 16) * group + rest % group;
}

template <class At>
void Matrix::pack(int outputs, int inputs, Storage storage, bool in_tiles, At at) {
    outputs_ = outputs;
    inputs_ = inputs;
    storage_ = storage;
    in_tiles_ = in_tiles && storage != Storage::kFloat;
    const size_t size = storage == Storage::kFloat ? 4 : storage == Storage::kBfloat ? 2 : 1;
    const int packed_inputs = in_tiles_ ? steps() * step_inputs() : inputs;
    bytes_ = static_cast<size_t>(num_panels()) * kPanel * packed_inputs * size;
    weights_ = make_buffer<uint8_t>(bytes_);
    scales_.assign(storage == Storage::kInt8 ? num_panels() * kPanel : 0, 0.0f);
    for (int output = 0; output < outputs; output++) {
        float scale = 0.0f;
        if (storage == Storage::kInt8) {
            float peak = 0.0f;
            for (int input = 0; input < inputs; input++) peak = std::fmax(peak, std::fabs(at(output, input)));
            scale = peak > 0.0f ? 127.0f / peak : 0.0f;
            scales_[output] = peak / 127.0f;
        }
        for (int input = 0; input < inputs; input++) {
            const size_t index = place(output, input);
            const float value = at(output, input);
            if (storage == Storage::kFloat)
                reinterpret_cast<float *>(weights_.get())[index] = value;
            else if (storage == Storage::kBfloat)
                store(value, reinterpret_cast<Bfloat *>(weights_.get()) + index);
            else
                reinterpret_cast<int8_t *>(weights_.get())[index] = static_cast<int8_t>(std::lrintf(value * scale));
        }
    }
}

inline void Matrix::unpack(int output, float *to) const {
    for (int input = 0; input < inputs_; input++) {
        const size_t index = place(output, input);
        if (storage_ == Storage::kFloat)
            to[input] = reinterpret_cast<const float *>(weights_.get())[index];
        else if (storage_ == Storage::kBfloat)
            to[input] = to_float(reinterpret_cast<const Bfloat *>(weights_.get())[index]);
        else
            to[input] = reinterpret_cast<const int8_t *>(weights_.get())[index] * scales_[output];
    }
}

// Puts the sums of one panel of one row where they belong; the last panel may hold more outputs than there are.
[[gnu::noinline]] inline void Matrix::write(const float *sums, int panel, const float *bias, bool is_added, float *to) const {
    for (int begin = panel * kPanel; begin < (panel + 1) * kPanel; begin += 16, sums += 16) {
        const int count = outputs_ - begin < 16 ? outputs_ - begin : 16;
        if (count <= 0) return;
        F16 sum = load<F16>(sums);
        if (storage_ == Storage::kInt8) sum *= load<F16>(scales_.data() + begin);
        if (bias) sum += load_some(bias + begin, count);
        if (is_added) sum += load_some(to + begin, count);
        std::memcpy(to + begin, &sum, count * sizeof(float));
    }
}

// R rows times one panel. Even and odd inputs are summed apart, to have enough sums under way at a time.
template <class T, int R>
void Matrix::block_of_rows(const Activations &rows, int first_row, int panel, const float *bias, bool is_added, float *to,
                           int to_width) const {
    const T *weights = reinterpret_cast<const T *>(weights_.get()) + static_cast<size_t>(panel) * inputs_ * kPanel;
    const float *inputs[R];
    Lanes even[R][2] = {}, odd[R][2] = {};
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) inputs[r] = rows.row(first_row + r);
    const int pairs = inputs_ / 2 * 2;
    for (int k = 0; k < pairs; k += 2, weights += 2 * kPanel) {
        for (size_t line = 0; line < 2 * kPanel * sizeof(T); line += 64)
            __builtin_prefetch(reinterpret_cast<const uint8_t *>(weights) + kAhead + line, 0, 3);
        const Lanes even_left = load<Lanes>(weights), even_right = load<Lanes>(weights + kLanes);
        const Lanes odd_left = load<Lanes>(weights + kPanel), odd_right = load<Lanes>(weights + kPanel + kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            const float first = inputs[r][k], second = inputs[r][k + 1];
            even[r][0] += first * even_left;
            even[r][1] += first * even_right;
            odd[r][0] += second * odd_left;
            odd[r][1] += second * odd_right;
        }
    }
    if (pairs < inputs_) {
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            even[r][0] += inputs[r][pairs] * load<Lanes>(weights);
            even[r][1] += inputs[r][pairs] * load<Lanes>(weights + kLanes);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
        float sums[kPanel];
        save(even[r][0] + odd[r][0], sums);
        save(even[r][1] + odd[r][1], sums + kLanes);
        write(sums, panel, bias, is_added, to + static_cast<size_t>(r) * to_width);
    }
}

template <class T>
void Matrix::multiply_lanes(const Activations &rows, int first_row, int num_rows, int panel, const float *bias, bool is_added,
                            float *to, int to_width) const {
    constexpr int kMost = kLanes == 16 ? 6 : 3;  // rows whose sums fit into the registers
    for (int done = 0; done < num_rows;) {
        const int row = first_row + done;
        float *place = to + static_cast<size_t>(done) * to_width;
        const int left = num_rows - done;
        if (left >= 6 && kMost >= 6) {
            block_of_rows<T, kMost>(rows, row, panel, bias, is_added, place, to_width);
            done += kMost;
        } else if (left >= 4 && kMost >= 4) {
            block_of_rows<T, 4>(rows, row, panel, bias, is_added, place, to_width);
            done += 4;
        } else if (left >= 3) {
            block_of_rows<T, 3>(rows, row, panel, bias, is_added, place, to_width);
            done += 3;
        } else if (left == 2) {
            block_of_rows<T, 2>(rows, row, panel, bias, is_added, place, to_width);
            done += 2;
        } else {
            block_of_rows<T, 1>(rows, row, panel, bias, is_added, place, to_width);
            done += 1;
        }
    }
}

#if HAS_TILES
#include "tiles.h"
#else
inline bool may_use_tiles() { return false; }
inline void set_up_tiles() {}
inline void release_tiles() {}
inline void Matrix::prepare(Activations &, int) const {}
#endif

inline void Matrix::multiply(const Activations &rows, int first_row, int num_rows, Range panels, const float *bias,
                             bool is_added, float *to, int to_width) const {
#if HAS_TILES
    if (in_tiles_) {
        if (storage_ == Storage::kInt8)
            multiply_tiles<true>(rows, first_row, num_rows, panels, bias, is_added, to, to_width);
        else
            multiply_tiles<false>(rows, first_row, num_rows, panels, bias, is_added, to, to_width);
        return;
    }
#endif
    for (int panel = panels.begin; panel < panels.end; panel++) {
        if (storage_ == Storage::kFloat)
            multiply_lanes<float>(rows, first_row, num_rows, panel, bias, is_added, to, to_width);
        else if (storage_ == Storage::kBfloat)
            multiply_lanes<Bfloat>(rows, first_row, num_rows, panel, bias, is_added, to, to_width);
        else
            multiply_lanes<int8_t>(rows, first_row, num_rows, panel, bias, is_added, to, to_width);
    }
}
