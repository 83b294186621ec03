// The functions that Python calls (native_library.py says what they take). No exception gets through them.
#include "bandwidth.h"
#include "decoder.h"

extern "C" {

// 0 when there is no memory for it.
Decoder *tessera_new(const TesseraSizes *sizes, const float *cosines, const float *sines) {
    try {
        return new Decoder(*sizes, cosines, sines);
    } catch (const std::exception &) {
        return nullptr;
    }
}

void tessera_free(Decoder *decoder) { delete decoder; }

// 0 when the tensor was taken, 1 when its name is unknown, 2 when there is no memory for it.
int tessera_set(Decoder *decoder, const char *name, const void *data, int is_bfloat, int rows, int columns) {
    try {
        decoder->set(name, {data, is_bfloat != 0, rows, columns});
        return 0;
    } catch (const std::bad_alloc &) {
        return 2;
    } catch (const std::exception &) {
        return 1;
    }
}

// The number of the new adapter, which changes nothing yet; -1 when there is no memory for it.
int tessera_add_adapter(Decoder *decoder) {
    try {
        return decoder->add_adapter();
    } catch (const std::exception &) {
        return -1;
    }
}

// Like tessera_set, for the two matrices of one linear layer.
int tessera_set_adapter(Decoder *decoder, int adapter, const char *path, const float *first, const float *second, int rank,
                        int inputs, int outputs, float scale) {
    try {
        decoder->set_adapter(adapter, path, {first, false, rank, inputs}, {second, false, outputs, rank}, scale);
        return 0;
    } catch (const std::bad_alloc &) {
        return 2;
    } catch (const std::exception &) {
        return 1;
    }
}

int64_t tessera_weights_bytes(const Decoder *decoder) { return static_cast<int64_t>(decoder->weights_bytes()); }

int64_t tessera_cache_bytes(const Decoder *decoder) { return static_cast<int64_t>(decoder->cache_bytes()); }

void tessera_read(Decoder *decoder, const TesseraRows *rows) { decoder->read(*rows); }

// Bytes a second that this many threads read together; -1 when there is no memory for it.
double tessera_read_bandwidth(int threads, int64_t bytes, int rounds) {
    try {
        return read_bandwidth(threads, static_cast<size_t>(bytes), rounds);
    } catch (const std::exception &) {
        return -1.0;
    }
}
}
