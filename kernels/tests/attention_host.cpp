// attention.cu on the CPU: reads batch, heads, size, positions and known, then q, k, v, distances and the gradient of y from stdin;
// writes y, the gradients of q, k, v and distances for the forward and then for the reverse order of threads.
#include "cuda_host_shim.h"
#include "../src/attention.cu"

template <class T>
static std::vector<T> get(size_t n) {
    std::vector<T> v(n);
    if (fread(v.data(), sizeof(T), n, stdin) != n) abort();
    return v;
}

static void put(const std::vector<float>& v) { fwrite(v.data(), sizeof(float), v.size(), stdout); }

int main() {
    const auto extent = get<int>(5);
    const int batch = extent[0], heads = extent[1], size = extent[2], positions = extent[3], known = extent[4];
    const size_t n = (size_t)batch * heads * size * positions, table = (size_t)heads * known * size;
    const auto q = get<float>(n), k = get<float>(n), v = get<float>(n), e = get<float>(table), dy = get<float>(n);
    const float scale = 1.f / sqrtf((float)size);
    const unsigned tiles = (positions + TILE - 1) / TILE, rows = batch * heads;
    for (int order = 0; order < 2; order++) {
        shim::reverse = order;
        std::vector<float> y(n, -1.f), dq(n, -1.f), dk(n, -1.f), dv(n, -1.f), de(table, -1.f);
        std::vector<float> sums(rows * positions, -1.f), own(sums), all((size_t)heads * positions * size, -1.f);
        shim::launch(dim3(tiles, rows), dim3(256), [&] {
            attention_forward(q.data(), k.data(), v.data(), e.data(), y.data(), sums.data(), heads, size, positions, known, scale);
        });
        shim::launch(dim3((rows * positions + 255) / 256), dim3(256), [&] {
            attention_own(y.data(), dy.data(), own.data(), size, positions, rows);
        });
        shim::launch(dim3(tiles, rows), dim3(256), [&] {
            attention_queries(q.data(), k.data(), v.data(), e.data(), dy.data(), sums.data(), own.data(), dq.data(), heads, size,
                              positions, known, scale);
        });
        shim::launch(dim3(tiles, rows), dim3(256), [&] {
            attention_keys(q.data(), k.data(), v.data(), e.data(), dy.data(), sums.data(), own.data(), dk.data(), dv.data(), heads,
                           size, positions, known, scale);
        });
        shim::launch(dim3(tiles, heads), dim3(256), [&] {
            attention_distances(q.data(), k.data(), v.data(), e.data(), dy.data(), sums.data(), own.data(), all.data(), batch,
                                heads, size, positions, known, scale);
        });
        shim::launch(dim3((table + 255) / 256), dim3(256), [&] {
            attention_clip(all.data(), de.data(), heads, size, positions, known);
        });
        put(y);
        put(dq);
        put(dk);
        put(dv);
        put(de);
    }
}
