// Kernels by name, for programs that would otherwise call libcuda. Included behind the kernels; KERNELS is their list.
#include <map>
#include <utility>

namespace shim {
template <class A> constexpr char KIND = std::is_pointer_v<A> ? 'p' : std::is_same_v<A, float> ? 'f' : std::is_same_v<A, double> ? 'd' : sizeof(A) == 4 ? 'i' : 'l';
struct Kernel { std::string takes; std::function<void(void**)> run; };
template <class... A, size_t... I> static Kernel kernel(void (*f)(A...), std::index_sequence<I...>) {
    return {{KIND<A>...}, [f](void** arguments) { f(*static_cast<A*>(arguments[I])...); }};
}
template <class... A> static Kernel kernel(void (*f)(A...)) { return kernel(f, std::index_sequence_for<A...>()); }
static std::string wrong;
}  // namespace shim

#define NAMED(f) {#f, shim::kernel(f)},
static const std::map<std::string, shim::Kernel> BY_NAME = {KERNELS};

// Null, or what is wrong, until the next launch. `takes` has p, i, l, f or d for each argument, which `arguments` point to. One launch at a
// time.
extern "C" const char* shim_launch(const char* name, const unsigned* grid, unsigned threads, unsigned shared, const char* takes,
                                   void** arguments, const int* settings) try {
    const auto found = BY_NAME.find(name);
    if (found == BY_NAME.end()) throw std::runtime_error("there is no kernel of this name");
    const shim::Kernel& kernel = found->second;
    if (kernel.takes != takes) throw std::runtime_error(std::string(name) + " takes " + kernel.takes + " and not " + takes);
    shim::settings = {settings[0], settings[1], settings[2]};
    shim::launch({grid[0], grid[1], grid[2]}, threads, shared, [&] { kernel.run(arguments); });
    return nullptr;
} catch (const std::exception& e) {
    return (shim::wrong = e.what()).c_str();
}
