// nearest.cu on the CPU: reads n, k, dim, z and the codebook from stdin, writes indices and distances for the forward
// and then for the reverse order of threads.
#include "cuda_host_shim.h"
#include "../src/nearest.cu"

template <class T>
static std::vector<T> get(size_t n) {
    std::vector<T> v(n);
    if (fread(v.data(), sizeof(T), n, stdin) != n) abort();
    return v;
}

int main() {
    const auto size = get<int>(3);
    const int n = size[0], k = size[1], dim = size[2];
    const auto z = get<float>((size_t)n * dim), codebook = get<float>((size_t)k * dim);
    for (int order = 0; order < 2; order++) {
        std::vector<unsigned> index(n, 0xffffffffu);
        std::vector<float> distance(n, -1.f);
        shim::reverse = order;
        shim::launch(dim3((n + ROWS - 1) / ROWS), dim3(256), [&] {
            nearest_f32(z.data(), codebook.data(), index.data(), distance.data(), n, k, dim);
        });
        fwrite(index.data(), sizeof(unsigned), n, stdout);
        fwrite(distance.data(), sizeof(float), n, stdout);
    }
}
