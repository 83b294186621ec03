// Weights on their way in: every tensor under its name in the torch Decoder, packed for the products to come.
#include "decoder.h"

void Table::fill(const Given &given, bool as_bfloat) {
    columns = given.columns;
    is_bfloat = as_bfloat;
    bytes = static_cast<size_t>(given.rows) * columns * (as_bfloat ? 2 : 4);
    rows = make_buffer<uint8_t>(bytes);
    for (int row = 0; row < given.rows; row++)
        for (int column = 0; column < columns; column++) {
            const size_t index = static_cast<size_t>(row) * columns + column;
            if (as_bfloat)
                store(given.at(row, column), reinterpret_cast<Bfloat *>(rows.get()) + index);
            else
                store(given.at(row, column), reinterpret_cast<float *>(rows.get()) + index);
        }
}

void Decoder::pack(Linear &linear, const Given &given, int first_row, int num_rows) {
    linear.matrix.pack(num_rows, given.columns, storage_, in_tiles_,
                       [&](int output, int input) { return given.at(first_row + output, input); });
    weights_bytes_ += linear.matrix.bytes();
}

// Takes one tensor under its name in the torch Decoder; shapes were checked. Throws std::out_of_range on unknown names.
void Decoder::set(const std::string &name, const Given &given) {
    const bool as_bfloat = storage_ != Storage::kFloat;
    const auto take = [&](std::vector<float> &to) {
        to = given.floats();
        weights_bytes_ += to.size() * sizeof(float);
    };
    const auto take_table = [&](Table &to) {
        to.fill(given, as_bfloat);
        weights_bytes_ += to.bytes;
    };
    if (name == "embed.weight" && sizes_.is_tied) return pack(head_, given, 0, given.rows);
    if (name == "embed.weight") return take_table(embed_);
    if (name == "unembed.weight") return pack(head_, given, 0, given.rows);
    if (name == "position.weight") return take_table(position_);
    if (name == "embed_norm.weight") return take(embed_norm_.weight);
    if (name == "embed_norm.bias") return take(embed_norm_.bias);
    if (name == "final_norm.weight") return take(final_norm_.weight);
    if (name == "final_norm.bias") return take(final_norm_.bias);
    if (name.rfind("blocks.", 0) != 0) throw std::out_of_range(name);
    const size_t dot = name.find('.', 7);
    Layer &layer = layers_.at(std::stoi(name.substr(7, dot - 7)));
    const std::string part = name.substr(dot + 1);
    const int half = sizes_.mlp_width;
    if (part == "attention_norm.weight") return take(layer.attention_norm.weight);
    if (part == "attention_norm.bias") return take(layer.attention_norm.bias);
    if (part == "mlp_norm.weight") return take(layer.mlp_norm.weight);
    if (part == "mlp_norm.bias") return take(layer.mlp_norm.bias);
    if (part == "attention.query_norm.weight") return take(layer.query_norm.weight);
    if (part == "attention.key_norm.weight") return take(layer.key_norm.weight);
    if (part == "attention.qkv.weight") return pack(layer.qkv, given, 0, given.rows);
    if (part == "attention.qkv.bias") return take(layer.qkv.bias);
    if (part == "attention.out.weight") return pack(layer.out, given, 0, given.rows);
    if (part == "attention.out.bias") return take(layer.out.bias);
    if (part == "attention.value_embed.weight") return take_table(layer.value_embed);
    if (part == "attention.value_scale") return void(layer.value_scale = given.at(0, 0));
    if (part == "mlp.up.weight") return pack(layer.up, given, 0, given.rows);
    if (part == "mlp.up.bias") return take(layer.up.bias);
    if (part == "mlp.down.weight") return pack(layer.down, given, 0, given.rows);
    if (part == "mlp.down.bias") return take(layer.down.bias);
    if (part == "mlp.gate_up.weight") {
        pack(layer.gate, given, 0, half);
        return pack(layer.up, given, half, half);
    }
    if (part == "mlp.gate_up.bias") {
        take(layer.gate.bias);
        layer.up.bias.assign(layer.gate.bias.begin() + half, layer.gate.bias.end());
        return layer.gate.bias.resize(half);
    }
    throw std::out_of_range(name);
}

int Decoder::add_adapter() {
    adapters_.push_back(std::make_unique<Adapter>());
    return static_cast<int>(adapters_.size()) - 1;
}

// first: (rank, inputs), second: (outputs, rank) of the linear layer at `path`.
void Decoder::set_adapter(int adapter, const std::string &path, const Given &first, const Given &second, float scale) {
    const auto take = [&](const Linear &linear, int first_row, int num_rows) {
        LowRank &pair = (*adapters_.at(adapter))[&linear];
        pair.first.pack(first.rows, first.columns, Storage::kFloat, false, [&](int r, int c) { return first.at(r, c); });
        pair.second.pack(num_rows, second.columns, Storage::kFloat, false,
                         [&](int r, int c) { return scale * second.at(first_row + r, c); });
        weights_bytes_ += pair.first.bytes() + pair.second.bytes();
    };
    if (first.rows > kMostRank) throw std::out_of_range(path);
    const size_t dot = path.find('.', 7);
    Layer &layer = layers_.at(std::stoi(path.substr(7, dot - 7)));
    const std::string part = path.substr(dot + 1);
    const int half = sizes_.mlp_width;
    if (part == "attention.qkv") return take(layer.qkv, 0, second.rows);
    if (part == "attention.out") return take(layer.out, 0, second.rows);
    if (part == "mlp.up") return take(layer.up, 0, second.rows);
    if (part == "mlp.down") return take(layer.down, 0, second.rows);
    if (part == "mlp.gate_up") {
        take(layer.gate, 0, half);
        return take(layer.up, half, half);
    }
    throw std::out_of_range(path);
}
