// The walk of rows through the layers.
#include "decoder.h"

void Table::look_up(int row, float *to) const {
    const size_t start = static_cast<size_t>(row) * columns;
    for (int column = 0; column < columns; column++)
        to[column] = is_bfloat ? to_float(reinterpret_cast<const Bfloat *>(rows.get())[start + column])
                               : reinterpret_cast<const float *>(rows.get())[start + column];
}

Decoder::Decoder(const TesseraSizes &sizes, const float *cosines, const float *sines)
    : sizes_(sizes), query_width_(sizes.num_heads * sizes.head_width), kv_width_(sizes.num_kv_heads * sizes.head_width),
      storage_(static_cast<Storage>(sizes.storage)), in_tiles_(may_use_tiles()), layers_(sizes.num_layers),
      members_(sizes.num_threads), team_(sizes.num_threads) {
    if (sizes.has_rope) {
        const size_t count = static_cast<size_t>(sizes.context_tokens) * (sizes.head_width / 2);
        cosines_.assign(cosines, cosines + count);
        sines_.assign(sines, sines + count);
    }
    if (storage_ == Storage::kFloat)
        float_cache_ = std::make_unique<Cache<float>>(sizes.num_layers, sizes.num_blocks, sizes.block_tokens,
                                                      sizes.num_kv_heads, sizes.head_width);
    else
        bfloat_cache_ = std::make_unique<Cache<Bfloat>>(sizes.num_layers, sizes.num_blocks, sizes.block_tokens,
                                                        sizes.num_kv_heads, sizes.head_width);
    stream_ = make_buffer<float>(static_cast<size_t>(kMostRows) * sizes.width);
    added_ = make_buffer<float>(static_cast<size_t>(kMostRows) * sizes.width);
    qkv_ = make_buffer<float>(static_cast<size_t>(kMostRows) * (query_width_ + 2 * kv_width_));
    gate_ = make_buffer<float>(static_cast<size_t>(kMostRows) * sizes.mlp_width);
    normalised_.reserve(kMostRows, sizes.width);
    attended_.reserve(kMostRows, query_width_);
    hidden_.reserve(kMostRows, sizes.mlp_width);
    for (Member &member : members_) {
        member.scores = make_buffer<float>(static_cast<size_t>(kMostHeads) * rounded_up(sizes.context_tokens, kChunk));
        member.low_rank.reserve(kMostRows, kMostRank);
    }
}

size_t Decoder::cache_bytes() const {
    return float_cache_ ? float_cache_->bytes(sizes_.num_layers) : bfloat_cache_->bytes(sizes_.num_layers);
}

void Decoder::read(const TesseraRows &rows) {
    int wanted = 0;
    for (int begin = 0; begin < rows.num_rows; begin += kMostRows) {
        const int count = std::min(kMostRows, rows.num_rows - begin);
        int32_t here[kMostRows];
        int num_here = 0;
        while (wanted + num_here < rows.num_wanted && rows.wanted[wanted + num_here] < begin + count) {
            here[num_here] = rows.wanted[wanted + num_here] - begin;
            num_here++;
        }
        rows_ = rows;
        rows_.num_rows = count;
        rows_.ids += begin;
        rows_.positions += begin;
        rows_.tables += begin;
        rows_.adapters += begin;
        rows_.wanted = here;
        rows_.num_wanted = num_here;
        rows_.logits += static_cast<size_t>(wanted) * sizes_.vocab_size;
        has_adapters_ = std::any_of(rows_.adapters, rows_.adapters + count, [](int adapter) { return adapter >= 0; });
        wanted += num_here;
        const auto start = std::chrono::steady_clock::now();
        team_.run([this](int member) { walk(member); }, pace_.is_alone(count));
        pace_.note(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
}

void Decoder::walk(int member) {
    if (in_tiles_) set_up_tiles();
    embed(member);
    for (int index = 0; index < sizes_.num_layers; index++) {
        const Layer &layer = layers_[index];
        normalise_rows(member, layer.attention_norm, layer.qkv.matrix);
        multiply(member, layer.qkv, normalised_, qkv_.get(), query_width_ + 2 * kv_width_);
        team_.meet();
        const int items = rows_.num_rows * sizes_.num_kv_heads;
        for (int item = member; item < items; item += team_.size())
            place_heads(index, item / sizes_.num_kv_heads, item % sizes_.num_kv_heads);
        team_.meet();
        for (int item = member; item < items; item += team_.size())
            attend(index, item / sizes_.num_kv_heads, item % sizes_.num_kv_heads, members_[member]);
        team_.meet();
        prepare_rows(member, attended_, layer.out.matrix);
        add_to_stream(member, layer.out, attended_);
        normalise_rows(member, layer.mlp_norm, layer.up.matrix);
        run_mlp(member, layer);
        team_.meet();
        prepare_rows(member, hidden_, layer.down.matrix);
        add_to_stream(member, layer.down, hidden_);
    }
    predict(member);
    if (in_tiles_) release_tiles();
}

void Decoder::embed(int member) {
    const Range own = team_.share(rows_.num_rows, member);
    std::vector<float> found(sizes_.width);
    for (int row = own.begin; row < own.end; row++) {
        float *stream = stream_.get() + static_cast<size_t>(row) * sizes_.width;
        if (sizes_.is_tied)
            head_.matrix.unpack(rows_.ids[row], stream);
        else
            embed_.look_up(rows_.ids[row], stream);
        if (!sizes_.has_rope) {
            position_.look_up(rows_.positions[row], found.data());
            for (int i = 0; i < sizes_.width; i++) stream[i] += found[i];
        }
        if (sizes_.has_embed_norm) normalise(embed_norm_, stream, sizes_.width, stream);
    }
    team_.meet();
}

// RMSNorm, or LayerNorm where the net has it. The sums run over sixteen lanes, then over the lanes.
void Decoder::normalise(const Norm &norm, const float *row, int width, float *to) const {
    F16 sum = {}, squares = {};
    float mean = 0.0f;
    if (sizes_.has_layer_norm) {
        for (int i = 0; i < width; i += 16) sum += load_some(row + i, std::min(16, width - i));
        mean = sum_of(sum) / width;
    }
    for (int i = 0; i < width; i += 16) {
        const int count = std::min(16, width - i);
        const F16 value = only(load_some(row + i, count) - mean, count, 0.0f);
        squares += value * value;
    }
    const float scale = 1.0f / std::sqrt(sum_of(squares) / width + sizes_.norm_eps);
    const float *weight = norm.weight.data(), *bias = norm.bias.empty() ? nullptr : norm.bias.data();
    for (int i = 0; i < width; i++) to[i] = (row[i] - mean) * scale * weight[i] + (bias ? bias[i] : 0.0f);
}

// RMSNorm of one head, in place; without a learned scale where the norm has none.
void Decoder::normalise_head(const Norm &norm, float *head) const {
    F16 squares = {};
    const int width = sizes_.head_width;
    for (int i = 0; i < width; i += 16) {
        const F16 value = load_some(head + i, std::min(16, width - i));
        squares += value * value;
    }
    const float scale = 1.0f / std::sqrt(sum_of(squares) / width + sizes_.norm_eps);
    const float *weight = norm.weight.empty() ? nullptr : norm.weight.data();
    for (int i = 0; i < width; i++) head[i] *= weight ? scale * weight[i] : scale;
}

void Decoder::rotate(float *head, int position) const {
    const int half = sizes_.head_width / 2;
    const float *cosines = cosines_.data() + static_cast<size_t>(position) * half;
    const float *sines = sines_.data() + static_cast<size_t>(position) * half;
    for (int i = 0; i < half; i++) {
        const float first = head[i], second = head[i + half];
        head[i] = first * cosines[i] - second * sines[i];
        head[i + half] = second * cosines[i] + first * sines[i];
    }
}

// Makes the queries of one key head's group ready, and puts its key and value into the cache.
void Decoder::place_heads(int index, int row, int kv_head) {
    const Layer &layer = layers_[index];
    const int width = sizes_.head_width, group = sizes_.num_heads / sizes_.num_kv_heads;
    const int position = rows_.positions[row];
    float *heads = qkv_.get() + static_cast<size_t>(row) * (query_width_ + 2 * kv_width_);
    float *key = heads + query_width_ + kv_head * width, *value = key + kv_width_;
    const float temper = 1.0f / std::sqrt(static_cast<float>(width));
    const auto make_ready = [&](float *head, const Norm &norm) {
        if (sizes_.qk_norm == kBeforeRope) normalise_head(norm, head);
        if (sizes_.has_rope) rotate(head, position);
        if (sizes_.qk_norm == kAfterRopeFree) normalise_head(norm, head);
    };
    for (int h = kv_head * group; h < (kv_head + 1) * group; h++) {
        make_ready(heads + h * width, layer.query_norm);
        for (int i = 0; i < width; i++) heads[h * width + i] *= temper;
    }
    make_ready(key, layer.key_norm);
    if (layer.value_embed.columns) {
        std::vector<float> extra(kv_width_);
        layer.value_embed.look_up(rows_.ids[row], extra.data());
        for (int i = 0; i < width; i++) value[i] += layer.value_scale * extra[kv_head * width + i];
    }
    const int32_t *blocks = rows_.blocks + rows_.tables[row];
    if (float_cache_)
        float_cache_->write(index, blocks, position, kv_head, key, value);
    else
        bfloat_cache_->write(index, blocks, position, kv_head, key, value);
}

void Decoder::attend(int index, int row, int kv_head, Member &own) {
    const int width = sizes_.head_width, group = sizes_.num_heads / sizes_.num_kv_heads;
    const float *queries = qkv_.get() + static_cast<size_t>(row) * (query_width_ + 2 * kv_width_);
    const int32_t *blocks = rows_.blocks + rows_.tables[row];
    for (int done = 0; done < group; done += kMostHeads) {
        const int heads = std::min(kMostHeads, group - done), first = (kv_head * group + done) * width;
        if (float_cache_)
            float_cache_->attend(index, blocks, rows_.positions[row], kv_head, heads, queries + first, own.scores.get(),
                                 attended_.row(row) + first);
        else
            bfloat_cache_->attend(index, blocks, rows_.positions[row], kv_head, heads, queries + first, own.scores.get(),
                                  attended_.row(row) + first);
    }
}

// The stream, normalised and made ready for products with `reader`.
void Decoder::normalise_rows(int member, const Norm &norm, const Matrix &reader) {
    const Range own = team_.share(rows_.num_rows, member);
    for (int row = own.begin; row < own.end; row++) {
        normalise(norm, stream_.get() + static_cast<size_t>(row) * sizes_.width, sizes_.width, normalised_.row(row));
        reader.prepare(normalised_, row);
    }
    team_.meet();
}

void Decoder::prepare_rows(int member, Activations &rows, const Matrix &reader) {
    if (!in_tiles_ || storage_ == Storage::kFloat) return;
    const Range own = team_.share(rows_.num_rows, member);
    for (int row = own.begin; row < own.end; row++) reader.prepare(rows, row);
    team_.meet();
}

// The member's share of the outputs of all rows; says which panels these are.
Range Decoder::multiply(int member, const Linear &linear, const Activations &rows, float *to, int to_width) {
    const Range panels = team_.share(linear.matrix.num_panels(), member);
    linear.matrix.multiply(rows, 0, rows_.num_rows, panels, linear.bias_or_null(), false, to, to_width);
    if (has_adapters_) add_low_rank(member, linear, rows, panels, to, to_width);
    return {panels.begin * kPanel, std::min(panels.end * kPanel, linear.matrix.outputs())};
}

void Decoder::add_low_rank(int member, const Linear &linear, const Activations &rows, Range panels, float *to, int to_width) {
    Activations &between = members_[member].low_rank;
    for (int begin = 0, end = 0; begin < rows_.num_rows; begin = end) {
        const int adapter = rows_.adapters[begin];
        while (end < rows_.num_rows && rows_.adapters[end] == adapter) end++;
        if (adapter < 0) continue;
        const auto found = adapters_[adapter]->find(&linear);
        if (found == adapters_[adapter]->end()) continue;
        const LowRank &pair = found->second;
        pair.first.multiply(rows, begin, end - begin, {0, pair.first.num_panels()}, nullptr, false, between.row(0), between.width);
        pair.second.multiply(between, 0, end - begin, panels, nullptr, true, to + static_cast<size_t>(begin) * to_width, to_width);
    }
}

void Decoder::add_to_stream(int member, const Linear &linear, const Activations &rows) {
    const Range own = multiply(member, linear, rows, added_.get(), sizes_.width);
    for (int row = 0; row < rows_.num_rows; row++) {
        const size_t start = static_cast<size_t>(row) * sizes_.width;
        for (int i = own.begin; i < own.end; i++) stream_[start + i] += added_[start + i];
    }
    team_.meet();
}

void Decoder::run_mlp(int member, const Layer &layer) {
    const int width = sizes_.mlp_width;
    const Range own = multiply(member, layer.up, normalised_, hidden_.row(0), width);
    if (sizes_.activation == kSwiglu) multiply(member, layer.gate, normalised_, gate_.get(), width);
    for (int row = 0; row < rows_.num_rows; row++) {
        float *hidden = hidden_.row(row) + own.begin;
        const float *gate = gate_.get() + static_cast<size_t>(row) * width + own.begin;
        const int count = own.end - own.begin;
        if (sizes_.activation == kSwiglu)
            change_each(hidden, count, [gate](F16 up, int at, int some) {
                const F16 value = load_some(gate + at, some);
                return value / (1.0f + exp(-value)) * up;
            });
        else if (sizes_.activation == kGeluTanh)
            change_each(hidden, count, [](F16 x, int, int) {
                return 0.5f * x * (1.0f + tanh(0.7978845608f * (x + 0.044715f * x * x * x)));
            });
        else
            change_each(hidden, count, [](F16 x, int, int) {
                const F16 kept = x < 0.0f ? F16{} : x;
                return kept * kept;
            });
    }
}

// Logits of the wanted rows.
void Decoder::predict(int member) {
    const int wanted = rows_.num_wanted;
    const Range own = team_.share(wanted, member);
    for (int index = own.begin; index < own.end; index++) {
        const float *stream = stream_.get() + static_cast<size_t>(rows_.wanted[index]) * sizes_.width;
        normalise(final_norm_, stream, sizes_.width, normalised_.row(index));
        head_.matrix.prepare(normalised_, index);
    }
    team_.meet();
    if (wanted == 0) return;
    const Range panels = team_.share(head_.matrix.num_panels(), member);
    head_.matrix.multiply(normalised_, 0, wanted, panels, nullptr, false, rows_.logits, sizes_.vocab_size);
    if (sizes_.logit_cap == 0.0f) return;
    const int begin = panels.begin * kPanel, end = std::min(panels.end * kPanel, sizes_.vocab_size);
    const float cap = sizes_.logit_cap;
    for (int index = 0; index < wanted; index++)
        change_each(rows_.logits + static_cast<size_t>(index) * sizes_.vocab_size + begin, end - begin,
                    [cap](F16 x, int, int) { return cap * tanh(x / cap); });
}
