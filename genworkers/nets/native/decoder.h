// A whole decoder: one call reads the tokens of many sequences through all layers.
//
// All threads run the same function `Decoder::walk` and meet after each stage. Sizes and names are those of
// genworkers/nets/decoder.py; arguments were checked by the Python side (native_decoder.py).
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "attention.h"
#include "pace.h"

extern "C" {

// DecoderConfig in numbers; native_decoder.py mirrors it.
struct TesseraSizes {
    int32_t vocab_size, context_tokens, width, num_layers, num_heads, num_kv_heads, head_width, mlp_width;
    int32_t has_layer_norm, has_rope, activation, qk_norm, is_tied, has_embed_norm;
    int32_t num_blocks, block_tokens, storage, num_threads;
    float norm_eps, logit_cap;
};

// One call's tokens. Rows of the same sequence come in order of position.
struct TesseraRows {
    int32_t num_rows, num_wanted;
    const int32_t *ids, *positions;  // (num_rows)
    const int64_t *tables;           // (num_rows), where in `blocks` the row's sequence begins
    const int32_t *blocks;
    const int32_t *adapters;  // (num_rows), -1 for none
    const int32_t *wanted;    // (num_wanted), ascending rows whose logits are asked for
    float *logits;            // (num_wanted, vocab_size)
};
}

enum Activation { kRelu2 = 0, kGeluTanh = 1, kSwiglu = 2 };
enum QkNorm { kNoQkNorm = 0, kBeforeRope = 1, kAfterRopeFree = 2 };

// A tensor as Python hands it over.
struct Given {
    const void *data;
    bool is_bfloat;
    int rows, columns;

    float at(int row, int column) const {
        const size_t index = static_cast<size_t>(row) * columns + column;
        return is_bfloat ? to_float(static_cast<const Bfloat *>(data)[index]) : static_cast<const float *>(data)[index];
    }

    std::vector<float> floats() const {
        std::vector<float> result(static_cast<size_t>(rows) * columns);
        for (int row = 0; row < rows; row++)
            for (int column = 0; column < columns; column++) result[static_cast<size_t>(row) * columns + column] = at(row, column);
        return result;
    }
};

struct Norm {
    std::vector<float> weight, bias;
};

struct Linear {
    Matrix matrix;
    std::vector<float> bias;

    const float *bias_or_null() const { return bias.empty() ? nullptr : bias.data(); }
};

// Rows that are looked up, not multiplied with.
struct Table {
    int columns = 0;
    bool is_bfloat = false;
    Buffer<uint8_t> rows;
    size_t bytes = 0;

    void fill(const Given &given, bool as_bfloat);
    void look_up(int row, float *to) const;
};

struct Layer {
    Norm attention_norm, mlp_norm, query_norm, key_norm;
    Linear qkv, out, gate, up, down;
    Table value_embed;
    float value_scale = 0.0f;
};

// Of one linear layer: to += B (A row), with the scale in B.
struct LowRank {
    Matrix first, second;
};

using Adapter = std::map<const Linear *, LowRank>;

class Decoder {
  public:
    Decoder(const TesseraSizes &sizes, const float *cosines, const float *sines);

    void set(const std::string &name, const Given &given);
    int add_adapter();
    void set_adapter(int adapter, const std::string &path, const Given &first, const Given &second, float scale);
    void read(const TesseraRows &rows);
    size_t weights_bytes() const { return weights_bytes_; }
    size_t cache_bytes() const;

  private:
    static constexpr int kMostRows = 128;  // read at a time, so that their numbers stay in the cache; more come in turns
    static constexpr int kMostRank = 512;

    struct Member {  // what each thread has for itself
        Buffer<float> scores;
        Activations low_rank;
    };

    void pack(Linear &linear, const Given &given, int first_row, int num_rows);
    void walk(int member);
    void embed(int member);
    void normalise(const Norm &norm, const float *row, int width, float *to) const;
    void normalise_head(const Norm &norm, float *head) const;
    void rotate(float *head, int position) const;
    void place_heads(int layer, int row, int kv_head);
    void attend(int layer, int row, int kv_head, Member &own);
    void normalise_rows(int member, const Norm &norm, const Matrix &reader);
    void prepare_rows(int member, Activations &rows, const Matrix &reader);
    Range multiply(int member, const Linear &linear, const Activations &rows, float *to, int to_width);
    void add_low_rank(int member, const Linear &linear, const Activations &rows, Range panels, float *to, int to_width);
    void add_to_stream(int member, const Linear &linear, const Activations &rows);
    void run_mlp(int member, const Layer &layer);
    void predict(int member);

    const TesseraSizes sizes_;
    const int query_width_, kv_width_;
    const Storage storage_;
    const bool in_tiles_;
    std::vector<float> cosines_, sines_;  // (context_tokens, head_width / 2)
    Linear head_;
    Table embed_, position_;
    Norm embed_norm_, final_norm_;
    std::vector<Layer> layers_;
    std::vector<std::unique_ptr<Adapter>> adapters_;
    std::unique_ptr<Cache<float>> float_cache_;
    std::unique_ptr<Cache<Bfloat>> bfloat_cache_;
    size_t weights_bytes_ = 0;

    TesseraRows rows_{};  // of the present turn
    Pace pace_;
    bool has_adapters_ = false;
    Buffer<float> stream_, qkv_, gate_, added_;
    Activations normalised_, attended_, hidden_;
    std::vector<Member> members_;
    Team team_;  // last, so that its threads end first
};
