#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "autograd/trace.h"
#include "tests/recipes/onnx_ops.h"
#include "tests/samples.h"

namespace heed::recipes::onnx {
namespace {

using testing::integers;
using testing::normal;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Example floats(const std::string& name, const Shape& shape) {
  return {name, normal(shape, name, DType::f32), normal(shape, name + "'", DType::f32)};
}

/// Positive ones.
Example positive(const std::string& name, const Shape& shape) {
  const auto squared = [](const Tensor& x) { return add(square(x), 0.1); };
  Example e = floats(name, shape);
  return {name, squared(e.first), squared(e.second)};
}

Example ids(const std::string& name, const Shape& shape, int64_t n) {
  return {name, integers(shape, n, name), integers(shape, n, name + "'")};
}

Example flags(const std::string& name, const Shape& shape) {
  Example e = floats(name, shape);
  return {name, gt(e.first, 0.0), gt(e.second, 0.0)};
}

/// As many of them in both.
Example three_of_seven(const std::string& name) {
  const auto mask = [](std::vector<uint8_t> values) { return ne(Tensor::from(values, {7}), 0.0); };
  return {name, mask({0, 1, 0, 0, 1, 1, 0}), mask({1, 0, 0, 0, 0, 1, 1})};
}

class Cases {
 public:
  std::vector<OpCase> all;

  template <class Fn>
  void add(const std::string& name, std::vector<Example> inputs, Fn run) {
    all.push_back({name, std::move(inputs), [run](const nn::Inputs& in) {
                     if constexpr (std::is_convertible_v<decltype(run(in)), Tensor>) {
                       return std::vector<Tensor>{run(in)};
                     } else {
                       return std::vector<Tensor>(run(in));
                     }
                   }});
  }
  void unary(const std::string& name, Tensor (*op)(const Tensor&), bool of_positive = false) {
    add(name, {of_positive ? positive("x", {3, 7}) : floats("x", {3, 7})},
        [op](const nn::Inputs& in) { return op(in.at("x")); });
  }
  void binary(const std::string& name, Tensor (*op)(const Tensor&, const Tensor&),
              bool of_positive = false) {
    add(name,
        {of_positive ? positive("a", {3, 1, 5}) : floats("a", {3, 1, 5}), floats("b", {7, 5})},
        [op](const nn::Inputs& in) { return op(in.at("a"), in.at("b")); });
  }
};

const Tensor& x(const nn::Inputs& in) { return in.at("x"); }

void elementwise(Cases& c) {
  using Pair = Tensor (*)(const Tensor&, const Tensor&);
  for (const auto& [name, op] : std::initializer_list<std::pair<const char*, Pair>>{
           {"add", add}, {"sub", sub}, {"mul", mul}, {"maximum", maximum}, {"minimum", minimum}}) {
    c.binary(name, op);
  }
  c.add("div", {floats("a", {3, 7}), positive("b", {7})},
        [](const nn::Inputs& in) { return div(in.at("a"), in.at("b")); });
  c.add("pow b", {positive("a", {3, 7}), floats("b", {7})},
        [](const nn::Inputs& in) { return pow(in.at("a"), in.at("b")); });
  c.add("pow", {positive("x", {3, 7})}, [](const nn::Inputs& in) { return pow(x(in), 1.7); });
  c.add("add number", {floats("x", {5})}, [](const nn::Inputs& in) { return add(x(in), 0.3); });
  c.add("mul number", {floats("x", {5})}, [](const nn::Inputs& in) { return mul(x(in), -2.5); });
  using One = Tensor (*)(const Tensor&);
  for (const auto& [name, op] :
       std::initializer_list<std::pair<const char*, One>>{{"neg", neg},
                                                          {"exp", exp},
                                                          {"square", square},
                                                          {"tanh", tanh},
                                                          {"sigmoid", sigmoid},
                                                          {"relu", relu},
                                                          {"silu", silu},
                                                          {"gelu", gelu},
                                                          {"gelu_tanh", gelu_tanh},
                                                          {"abs", abs},
                                                          {"sign", sign},
                                                          {"sin", sin},
                                                          {"cos", cos},
                                                          {"expm1", expm1},
                                                          {"erf", erf},
                                                          {"relu6", relu6},
                                                          {"hard_sigmoid", hard_sigmoid},
                                                          {"hard_swish", hard_swish}}) {
    c.unary(name, op);
  }
  for (const auto& [name, op] : std::initializer_list<std::pair<const char*, One>>{
           {"log", log}, {"sqrt", sqrt}, {"rsqrt", rsqrt}, {"log1p", log1p}}) {
    c.unary(name, op, true);
  }
  c.add("expm1 near 0", {floats("x", {13})},
        [](const nn::Inputs& in) { return mul(expm1(mul(x(in), 1e-5)), 1e5); });
  c.add("log1p of large ones",
        {{"x",
          Tensor::from<float>({3e38F, 1e10F, -0.5F, 0.0F, std::numeric_limits<float>::infinity()},
                              {5}),
          Tensor::from<float>({16777216.0F, -1.0F, 1e-30F, -0.999F, 7.0F}, {5})}},
        [](const nn::Inputs& in) { return log1p(x(in)); });
  const auto wide = [](const std::string& name) -> Example {
    return {name, normal({7}, name, DType::f64), normal({7}, name + "'", DType::f64)};
  };
  c.add("mul of two dtypes", {floats("x", {3, 7}), wide("w")},
        [](const nn::Inputs& in) { return mul(x(in), in.at("w")); });
  c.add("pow of two dtypes", {positive("x", {3, 7}), wide("w")},
        [](const nn::Inputs& in) { return pow(x(in), in.at("w")); });
  c.add("maximum of two dtypes", {floats("x", {3, 7}), wide("w")},
        [](const nn::Inputs& in) { return maximum(in.at("w"), x(in)); });
  c.add("gt of two dtypes", {floats("x", {3, 7}), wide("w")}, [](const nn::Inputs& in) {
    return std::vector<Tensor>{gt(x(in), in.at("w")), le(in.at("w"), x(in)), ne(x(in), in.at("w"))};
  });
  c.add("where of two dtypes", {flags("c", {3, 7}), floats("x", {3, 7}), wide("w")},
        [](const nn::Inputs& in) { return where(in.at("c"), x(in), in.at("w")); });
  c.add("log1p near 0", {floats("x", {13})},
        [](const nn::Inputs& in) { return mul(log1p(mul(x(in), 1e-5)), 1e5); });
  c.add("leaky_relu", {floats("x", {9})},
        [](const nn::Inputs& in) { return leaky_relu(x(in), 0.2); });
  c.add("elu", {floats("x", {9})}, [](const nn::Inputs& in) { return elu(x(in), 0.7); });
  c.add("softplus", {floats("x", {9})},
        [](const nn::Inputs& in) { return softplus(x(in), 2.0, 1.0); });
  c.add("clamp", {floats("x", {9})}, [](const nn::Inputs& in) { return clamp(x(in), -0.5, 0.25); });
  c.add("clamp below", {floats("x", {9})},
        [](const nn::Inputs& in) { return clamp(x(in), 0.1, kInfinity); });
  c.add("swiglu", {floats("gate", {3, 5}), floats("up", {3, 5})},
        [](const nn::Inputs& in) { return swiglu(in.at("gate"), in.at("up")); });
  c.add("swiglu_packed", {floats("x", {3, 14})},
        [](const nn::Inputs& in) { return swiglu_packed(x(in)); });
  c.add("cast", {floats("x", {3})}, [](const nn::Inputs& in) { return cast(x(in), DType::f64); });
  c.add("stop_gradient", {floats("x", {3})},
        [](const nn::Inputs& in) { return add(stop_gradient(x(in)), 1.0); });
  c.add("straight_through", {floats("x", {3})},
        [](const nn::Inputs& in) { return straight_through(square(x(in)), x(in)); });
}

void comparisons(Cases& c) {
  const auto chosen = [](const Tensor& flag, const nn::Inputs& in) {
    return where(flag, in.at("a"), in.at("b"));
  };
  using Pair = Tensor (*)(const Tensor&, const Tensor&);
  for (const auto& [name, op] : std::initializer_list<std::pair<const char*, Pair>>{
           {"eq", eq}, {"ne", ne}, {"lt", lt}, {"le", le}, {"gt", gt}, {"ge", ge}}) {
    c.add(
        name, {ids("i", {3, 5}, 3), ids("j", {5}, 3), floats("a", {3, 5}), floats("b", {1, 5})},
        [chosen, op = op](const nn::Inputs& in) { return chosen(op(in.at("i"), in.at("j")), in); });
  }
  c.add("where", {floats("a", {3, 5}), floats("b", {5})},
        [chosen](const nn::Inputs& in) { return chosen(lt(in.at("a"), 0.2), in); });
  c.add("logical_not", {flags("p", {3, 5}), floats("a", {3, 5}), floats("b", {5})},
        [chosen](const nn::Inputs& in) { return chosen(logical_not(in.at("p")), in); });
  c.add("logical_and", {flags("p", {3, 5}), flags("q", {5}), floats("a", {3, 5}), floats("b", {5})},
        [chosen](const nn::Inputs& in) { return chosen(logical_and(in.at("p"), in.at("q")), in); });
  c.add("logical_or", {flags("p", {3, 5}), flags("q", {5}), floats("a", {3, 5}), floats("b", {5})},
        [chosen](const nn::Inputs& in) { return chosen(logical_or(in.at("p"), in.at("q")), in); });
  c.add("masked_fill", {floats("x", {3, 5}), flags("p", {5})},
        [](const nn::Inputs& in) { return masked_fill(x(in), in.at("p"), -7.0); });
}

void layouts(Cases& c) {
  c.add("reshape", {floats("x", {2, 3, 5})}, [](const nn::Inputs& in) {
    return reshape(transpose(x(in), 0, 2), {-1, 2});
  });
  c.add("transpose", {floats("x", {2, 3, 5})},
        [](const nn::Inputs& in) { return transpose(x(in), -1, 1); });
  c.add("permute", {floats("x", {2, 3, 5})}, [](const nn::Inputs& in) {
    return permute(x(in), {2, 0, -2});
  });
  c.add("slice", {floats("x", {2, 7})},
        [](const nn::Inputs& in) { return slice(x(in), 1, 1, -1, 2); });
  c.add("select", {floats("x", {2, 7, 3})},
        [](const nn::Inputs& in) { return select(x(in), 1, -2); });
  c.add("expand", {floats("x", {3, 1})}, [](const nn::Inputs& in) {
    return add(expand(x(in), {2, 3, 5}), 1.0);
  });
  c.add("squeeze", {floats("x", {3, 1, 2})},
        [](const nn::Inputs& in) { return squeeze(x(in), 1); });
  c.add("unsqueeze", {floats("x", {3, 2})},
        [](const nn::Inputs& in) { return unsqueeze(x(in), -1); });
  c.add("concat", {floats("a", {3, 2}), floats("b", {3, 5})}, [](const nn::Inputs& in) {
    return concat({in.at("a"), in.at("b")}, -1);
  });
  c.add("stack", {floats("a", {3, 2}), floats("b", {3, 2})}, [](const nn::Inputs& in) {
    return stack({in.at("a"), in.at("b")}, -1);
  });
  c.add("split", {floats("x", {3, 7})}, [](const nn::Inputs& in) {
    return split(x(in), {2, 4, 1}, 1);
  });
  c.add("contiguous", {floats("x", {3, 7})},
        [](const nn::Inputs& in) { return contiguous(transpose(x(in), 0, 1)); });
  c.add("pad", {floats("x", {2, 3, 5})}, [](const nn::Inputs& in) {
    return pad(x(in), {{1, 2, 0}, {-1, 1, 3}}, PadMode::constant, 0.5);
  });
  c.add("pad reflect", {floats("x", {2, 3, 5})}, [](const nn::Inputs& in) {
    return pad(x(in), {{2, 2, 1}}, PadMode::reflect);
  });
  c.add("roll", {floats("x", {3, 5})}, [](const nn::Inputs& in) {
    return roll(x(in), {-1, 7}, {0, 1});
  });
  c.add("flip", {floats("x", {3, 5})}, [](const nn::Inputs& in) { return flip(x(in), {0, 1}); });
  c.add("repeat", {floats("x", {3, 5})}, [](const nn::Inputs& in) {
    return repeat(x(in), {2, 3});
  });
  c.add("one_hot", {ids("i", {3, 2}, 5)},
        [](const nn::Inputs& in) { return one_hot(in.at("i"), 5); });
  c.add("pixel_shuffle", {floats("x", {1, 2, 3, 8})},
        [](const nn::Inputs& in) { return pixel_shuffle(x(in), 2); });
  c.add("pixel_unshuffle", {floats("x", {1, 4, 6, 3})},
        [](const nn::Inputs& in) { return pixel_unshuffle(x(in), 2); });
  c.add("window_partition", {floats("x", {2, 4, 6, 3})}, [](const nn::Inputs& in) {
    return window_partition(x(in), {2, 3});
  });
  c.add("window_reverse", {floats("x", {2, 4, 6, 3})}, [](const nn::Inputs& in) {
    return window_reverse(x(in), {2, 3}, {4, 6});
  });
  const PatchOptions patches{.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0}};
  c.add("unfold", {floats("x", {2, 5, 4, 3})},
        [patches](const nn::Inputs& in) { return unfold(x(in), patches); });
  c.add("fold", {floats("x", {2, 3, 3, 18})}, [patches](const nn::Inputs& in) {
    return fold(x(in), {5, 4}, patches);
  });
  for (const auto mode : {Interpolation::nearest, Interpolation::linear, Interpolation::cubic}) {
    c.add(fmt::format("interpolate {}", static_cast<int>(mode)), {floats("x", {2, 5, 3, 2})},
          [mode](const nn::Inputs& in) {
            return interpolate(x(in), {7, 2}, mode);
          });
  }
  c.add("einsum", {floats("a", {2, 3, 5}), floats("b", {2, 5, 7})}, [](const nn::Inputs& in) {
    return einsum("bij,bjk->bki", {in.at("a"), in.at("b")});
  });
}

void indexing(Cases& c) {
  c.add("embedding", {floats("x", {5, 3}), ids("i", {2, 7}, 5)},
        [](const nn::Inputs& in) { return embedding(x(in), in.at("i")); });
  c.add("index_select", {floats("x", {2, 5, 3}), ids("i", {7}, 5)},
        [](const nn::Inputs& in) { return index_select(x(in), 1, in.at("i")); });
  c.add("gather", {floats("x", {2, 5, 3}), ids("i", {2, 7, 3}, 5)},
        [](const nn::Inputs& in) { return gather(x(in), 1, in.at("i")); });
  c.add("scatter_add", {floats("x", {2, 5}), ids("i", {2, 7}, 5), floats("s", {2, 7})},
        [](const nn::Inputs& in) { return scatter_add(x(in), 1, in.at("i"), in.at("s")); });
  c.add("scatter_mean", {ids("i", {2, 7}, 5), floats("s", {2, 7})},
        [](const nn::Inputs& in) { return scatter_mean(in.at("s"), 1, in.at("i"), 6, 0.5); });
  c.add("index_put", {floats("x", {5, 3}), floats("v", {2, 3})}, [](const nn::Inputs& in) {
    return index_put(x(in), 0, Tensor::from<int64_t>({4, 1}, {2}), in.at("v"));
  });
  c.add("index_put more", {floats("x", {5, 3}), ids("i", {7}, 5), floats("v", {7, 3})},
        [](const nn::Inputs& in) { return index_put(x(in), 0, in.at("i"), in.at("v"), true); });
  c.add("masked_put_rows", {floats("x", {7, 2}), three_of_seven("p"), floats("r", {3, 2})},
        [](const nn::Inputs& in) { return masked_put_rows(x(in), in.at("p"), in.at("r")); });
  c.add("segment_sum", {floats("x", {7, 2}), ids("i", {7}, 4)},
        [](const nn::Inputs& in) { return segment_sum(x(in), in.at("i"), 5); });
  c.add("segment_mean", {floats("x", {7, 2}), ids("i", {7}, 4)},
        [](const nn::Inputs& in) { return segment_mean(x(in), in.at("i"), 5); });
  c.add("segment_max", {floats("x", {7, 2}), ids("i", {7}, 4)},
        [](const nn::Inputs& in) { return segment_max(x(in), in.at("i"), 5, -2.0); });
  c.add("segment_softmax", {floats("x", {7, 2}), ids("i", {7}, 4)},
        [](const nn::Inputs& in) { return segment_softmax(x(in), in.at("i"), 5); });
  c.add("topk", {floats("x", {3, 7})}, [](const nn::Inputs& in) {
    const auto [values, places] = topk(x(in), 3, 1, false);
    return std::vector<Tensor>{values, places};
  });
  c.add("sort", {floats("x", {5, 3})}, [](const nn::Inputs& in) {
    const auto [values, places] = sort(x(in), 0, true);
    return std::vector<Tensor>{values, places};
  });
  c.add("argsort", {floats("x", {5, 3})}, [](const nn::Inputs& in) { return argsort(x(in), -1); });
}

void products(Cases& c) {
  c.binary("matmul", [](const Tensor& a, const Tensor& b) {
    return matmul(transpose(expand(a, {3, 7, 5}), 1, 2), expand(unsqueeze(b, 0), {3, 7, 5}));
  });
  for (const auto activation : {Activation::none, Activation::relu, Activation::gelu,
                                Activation::gelu_tanh, Activation::silu}) {
    c.add(fmt::format("linear {}", static_cast<int>(activation)),
          {floats("x", {3, 2, 5}), floats("w", {7, 5}), floats("b", {7})},
          [activation](const nn::Inputs& in) {
            return linear(x(in), in.at("w"), in.at("b"), activation);
          });
  }
  c.add("linear rows", {floats("x", {3, 5}), floats("w", {7, 5})},
        [](const nn::Inputs& in) { return linear(x(in), in.at("w")); });
  c.add("conv", {floats("x", {2, 9, 7, 4}), floats("w", {6, 3, 2, 2}), floats("b", {6})},
        [](const nn::Inputs& in) {
          return conv(x(in), in.at("w"), in.at("b"),
                      {.stride = {2, 1}, .padding = {1, 2}, .dilation = {2, 1}, .groups = 2});
        });
  c.add("conv 1", {floats("x", {2, 9, 3}), floats("w", {5, 3, 3})},
        [](const nn::Inputs& in) { return conv(x(in), in.at("w")); });
  c.add("conv 3", {floats("x", {1, 3, 5, 4, 2}), floats("w", {3, 2, 2, 2, 2})},
        [](const nn::Inputs& in) { return conv(x(in), in.at("w")); });
  c.add("conv_transpose", {floats("x", {2, 5, 3, 4}), floats("w", {4, 3, 3, 2}), floats("b", {4})},
        [](const nn::Inputs& in) {
          return conv_transpose(
              x(in), in.at("w"), in.at("b"),
              {.stride = {2}, .padding = {1}, .groups = 2, .output_padding = {1}});
        });
  c.add("max_pool", {floats("x", {2, 9, 7, 3})}, [](const nn::Inputs& in) {
    return max_pool(x(in), {.kernel = {3, 2}, .stride = {2}, .padding = {1, 0}});
  });
  c.add("max_pool ceil", {floats("x", {2, 8, 7, 3})}, [](const nn::Inputs& in) {
    return max_pool(x(in), {.kernel = {3}, .stride = {2}, .ceil = true});
  });
  c.add("avg_pool", {floats("x", {2, 9, 8, 3})}, [](const nn::Inputs& in) {
    return avg_pool(
        x(in),
        {.kernel = {3}, .stride = {2}, .padding = {1}, .ceil = true, .count_include_pad = false});
  });
  c.add("adaptive_avg_pool", {floats("x", {2, 9, 7, 3})}, [](const nn::Inputs& in) {
    return adaptive_avg_pool(x(in), {4, 1});
  });
  c.add("masked_mean", {floats("x", {2, 7, 3}), flags("p", {2, 7})},
        [](const nn::Inputs& in) { return masked_mean(x(in), in.at("p")); });
}

void reductions(Cases& c) {
  c.add("sum", {floats("x", {3, 5, 2})}, [](const nn::Inputs& in) { return sum(x(in), {0, -1}); });
  c.add("sum all", {floats("x", {3, 5})}, [](const nn::Inputs& in) { return sum(x(in)); });
  c.add("mean", {floats("x", {3, 5, 2})},
        [](const nn::Inputs& in) { return mean(x(in), {1}, true); });
  c.add("max", {floats("x", {3, 5})}, [](const nn::Inputs& in) { return max(x(in), 0, true); });
  c.add("min", {floats("x", {3, 5})}, [](const nn::Inputs& in) { return min(x(in), 1); });
  c.add("max_with_indices", {floats("x", {3, 5})}, [](const nn::Inputs& in) {
    const auto [values, places] = max_with_indices(x(in), 1);
    return std::vector<Tensor>{values, places};
  });
  c.add("min_with_indices", {floats("x", {3, 5})}, [](const nn::Inputs& in) {
    const auto [values, places] = min_with_indices(x(in), 0, true);
    return std::vector<Tensor>{values, places};
  });
  c.add("argmax", {floats("x", {3, 5})}, [](const nn::Inputs& in) { return argmax(x(in), 1); });
  c.add("argmin", {floats("x", {3, 5})}, [](const nn::Inputs& in) { return argmin(x(in), -2); });
  c.add("var", {floats("x", {3, 5, 2})}, [](const nn::Inputs& in) { return var(x(in), {1}); });
  c.add("standard_deviation", {floats("x", {3, 5, 2})},
        [](const nn::Inputs& in) { return standard_deviation(x(in), {}, 0.0, true); });
  c.add("logsumexp", {floats("x", {3, 5, 2})}, [](const nn::Inputs& in) {
    return logsumexp(x(in), {0, 2}, true);
  });
  c.add("l2_norm", {floats("x", {3, 5, 2})},
        [](const nn::Inputs& in) { return l2_norm(x(in), {1}); });
  c.add("softmax", {floats("x", {3, 5})}, [](const nn::Inputs& in) { return softmax(x(in), 0); });
  c.add("log_softmax", {floats("x", {3, 5})},
        [](const nn::Inputs& in) { return log_softmax(x(in), -1); });
  c.add("cumsum", {floats("x", {3, 5})}, [](const nn::Inputs& in) { return cumsum(x(in), 0); });
  c.add("cumsum reverse", {floats("x", {3, 5})},
        [](const nn::Inputs& in) { return cumsum(x(in), -1, true); });
  c.add("moving_sum", {floats("x", {3, 7, 2})},
        [](const nn::Inputs& in) { return moving_sum(x(in), 1, 3); });
  c.add("moving_mean", {floats("x", {3, 7, 2})},
        [](const nn::Inputs& in) { return moving_mean(x(in), -2, 4); });
}

void norms(Cases& c) {
  c.add("layer_norm", {floats("x", {3, 2, 7}), floats("w", {7}), floats("b", {7})},
        [](const nn::Inputs& in) { return layer_norm(x(in), in.at("w"), in.at("b"), 1e-3); });
  c.add("layer_norm plain", {floats("x", {3, 7})},
        [](const nn::Inputs& in) { return layer_norm(x(in), {}, {}, 0.01); });
  c.add("rms_norm", {floats("x", {3, 7}), floats("w", {7})},
        [](const nn::Inputs& in) { return rms_norm(x(in), in.at("w"), 0.01); });
  c.add("add_layer_norm", {floats("r", {3, 7}), floats("x", {3, 7}), floats("w", {7})},
        [](const nn::Inputs& in) {
          const auto [sum, y] = add_layer_norm(in.at("r"), x(in), in.at("w"), {}, 0.01);
          return std::vector<Tensor>{sum, y};
        });
  c.add("add_rms_norm", {floats("r", {3, 7}), floats("x", {3, 7}), floats("w", {7})},
        [](const nn::Inputs& in) {
          const auto [sum, y] = add_rms_norm(in.at("r"), x(in), in.at("w"), 0.01);
          return std::vector<Tensor>{sum, y};
        });
  c.add("batch_norm_with",
        {floats("x", {2, 3, 5, 4}), floats("m", {4}), positive("v", {4}), floats("w", {4}),
         floats("b", {4})},
        [](const nn::Inputs& in) {
          return batch_norm_with(x(in), in.at("m"), in.at("v"), in.at("w"), in.at("b"));
        });
  c.add(
      "batch_norm_with rows", {floats("x", {5, 4}), floats("m", {4}), positive("v", {4})},
      [](const nn::Inputs& in) { return batch_norm_with(x(in), in.at("m"), in.at("v"), {}, {}); });
  c.add("group_norm", {floats("x", {2, 3, 5, 6}), floats("w", {6}), floats("b", {6})},
        [](const nn::Inputs& in) { return group_norm(x(in), 3, in.at("w"), in.at("b"), 0.01); });
  c.add("instance_norm", {floats("x", {2, 7, 3})},
        [](const nn::Inputs& in) { return instance_norm(x(in), {}, {}, 0.01); });
  c.add("l2_normalize", {floats("x", {3, 5})},
        [](const nn::Inputs& in) { return l2_normalize(x(in), 0, 1.5); });
  c.add("cosine_similarity", {floats("x", {3, 5}), floats("y", {3, 5})},
        [](const nn::Inputs& in) { return cosine_similarity(x(in), in.at("y")); });
  c.add("distance", {floats("x", {3, 5}), floats("y", {3, 5})},
        [](const nn::Inputs& in) { return distance(x(in), in.at("y")); });
  for (const bool cosine : {false, true}) {
    c.add(cosine ? "prototype_logits by cosine" : "prototype_logits", {floats("x", {2, 3, 5, 4})},
          [cosine](const nn::Inputs& in) { return prototype_logits(x(in), 2, cosine); });
  }
}

void fourier(Cases& c) {
  c.add("fftn", {floats("x", {3, 5, 4, 2})}, [](const nn::Inputs& in) {
    return fftn(x(in), {0, 2});
  });
  c.add("ifftn", {floats("x", {3, 5, 4, 2})}, [](const nn::Inputs& in) {
    return ifftn(x(in), {1, 0}, FftNorm::ortho);
  });
  c.add("rfftn", {floats("x", {3, 5, 4})}, [](const nn::Inputs& in) {
    return rfftn(x(in), {0, 1});
  });
  c.add("irfftn", {floats("x", {3, 4, 4, 2})}, [](const nn::Inputs& in) {
    return irfftn(x(in), {0, 1}, 7);
  });
  c.add("rfft", {floats("x", {3, 7})},
        [](const nn::Inputs& in) { return rfft(x(in), -1, FftNorm::forward); });
  c.add("irfft", {floats("x", {3, 4, 2})}, [](const nn::Inputs& in) { return irfft(x(in), 6); });
  c.add("complex_mul", {floats("a", {3, 2}), floats("b", {3, 2})},
        [](const nn::Inputs& in) { return complex_mul(in.at("a"), in.at("b")); });
}

void recurrences(Cases& c) {
  const auto weights = [](int64_t gates) {
    return std::vector<Example>{floats("x", {3, 5, 4}),       floats("wi", {gates * 2, 4}),
                                floats("wh", {gates * 2, 2}), floats("bi", {gates * 2}),
                                floats("bh", {gates * 2}),    floats("h", {3, 2}),
                                floats("c", {3, 2})};
  };
  const auto of = [](const nn::Inputs& in) {
    return RnnWeights{in.at("wi"), in.at("wh"), in.at("bi"), in.at("bh")};
  };
  c.add("gru", weights(3), [of](const nn::Inputs& in) {
    const RnnResult y = gru(x(in), of(in), {}, in.at("h"));
    return std::vector<Tensor>{y.out, y.state};
  });
  c.add("gru reverse", weights(3), [of](const nn::Inputs& in) {
    const RnnResult y = gru(x(in), of(in), {.reverse = true});
    return std::vector<Tensor>{y.out, y.state};
  });
  c.add("lstm", weights(4), [of](const nn::Inputs& in) {
    const RnnResult y = lstm(x(in), of(in), {}, in.at("h"), in.at("c"));
    return std::vector<Tensor>{y.out, y.state, y.cell_state};
  });
  for (const int decays : {0, 3, 4}) {
    std::vector<Example> inputs{floats("q", {2, 3, 5, 4}), floats("k", {2, 3, 5, 4}),
                                floats("v", {2, 3, 5, 7}), floats("s", {2, 3, 4, 7})};
    if (decays > 0)
      inputs.push_back(positive("g", decays == 3 ? Shape{2, 3, 5} : Shape{2, 3, 5, 4}));
    c.add(fmt::format("causal_linear_attention {}", decays), inputs,
          [decays](const nn::Inputs& in) {
            LinearAttentionOptions how;
            if (decays > 0) {
              how.log_decay = neg(in.at("g"));
              how.state = in.at("s");
            }
            const auto y = causal_linear_attention(in.at("q"), in.at("k"), in.at("v"), how);
            return std::vector<Tensor>{y.out, y.state};
          });
  }
  c.add("bidirectional_linear_attention",
        {positive("q", {2, 3, 5, 4}), positive("k", {2, 3, 5, 4}), floats("v", {2, 3, 5, 7})},
        [](const nn::Inputs& in) {
          return bidirectional_linear_attention(in.at("q"), in.at("k"), in.at("v"), true);
        });
}

void solves(Cases& c) {
  for (const bool centred : {false, true}) {
    std::vector<Example> inputs{positive("w", {2, 3, 5, 7}), floats("k", {2, 3, 7, 4}),
                                floats("y", {2, 3, 5, 4})};
    if (centred) inputs.push_back(floats("c", {2, 3, 5, 4}));
    c.add(fmt::format("gram_solve {}", centred), inputs, [centred](const nn::Inputs& in) {
      return gram_solve(in.at("w"), in.at("k"), in.at("y"), centred ? in.at("c") : Tensor(), 0.5,
                        {});
    });
  }
  c.add("local_linear_attention",
        {floats("q", {2, 3, 7, 4}), floats("k", {2, 3, 7, 4}), floats("v", {2, 3, 7, 5})},
        [](const nn::Inputs& in) {
          return local_linear_attention(in.at("q"), in.at("k"), in.at("v"), {.ridge = 0.5});
        });
}

std::vector<Example> heads(int64_t kv_heads = 4) {
  return {floats("q", {2, 4, 7, 6}), floats("k", {2, kv_heads, 7, 6}),
          floats("v", {2, kv_heads, 7, 5})};
}

std::vector<Tensor> attended(const nn::Inputs& in, const AttentionSpec& spec) {
  const auto y = attention(in.at("q"), in.at("k"), in.at("v"), spec);
  return {y.out, y.lse};
}

std::vector<Example> with(std::vector<Example> inputs, std::initializer_list<Example> more) {
  inputs.insert(inputs.end(), more.begin(), more.end());
  return inputs;
}

void attentions(Cases& c) {
  const auto spec_case = [&c](const std::string& name, const std::vector<Example>& inputs,
                              const std::function<void(AttentionSpec&, const nn::Inputs&)>& set) {
    c.add("attention " + name, inputs, [set](const nn::Inputs& in) {
      AttentionSpec spec;
      set(spec, in);
      return attended(in, spec);
    });
  };
  const auto pattern = [&](const std::string& name, const AttentionPattern& of) {
    spec_case(name, heads(), [of](AttentionSpec& spec, const nn::Inputs&) { spec.pattern = of; });
  };
  pattern("dense", {});
  pattern("causal", AttentionPattern::causal());
  pattern("window", AttentionPattern::window(2, 1));
  pattern("rows without keys", AttentionPattern::causal(-2));
  pattern("lengths", AttentionPattern::lengths({7, 3}));
  pattern("virtual",
          AttentionPattern::halo({{.length = 7, .block = 3, .halo = 2}}, Border::virtual_keys));
  pattern("per head", AttentionPattern::per_head(
                          {AttentionPattern::causal(), AttentionPattern::dense(),
                           AttentionPattern::prefix(3), AttentionPattern::window(1, 1)}));
  spec_case("grouped", heads(2), [](AttentionSpec& spec, const nn::Inputs&) {
    spec.pattern = AttentionPattern::causal();
    spec.score.scale = 0.3;
    spec.score.softcap = 1.5;
    spec.score.alibi = {0.5f, 0.25f, 0.125f, 0.0625f};
  });
  spec_case(
      "score",
      with(heads(), {floats("tq", {1, 4, 7}), floats("tk", {2, 1, 7}), floats("b", {1, 4, 7, 7}),
                     floats("t", {4, 5}), floats("s", {4}), floats("r", {2, 4, 7, 5})}),
      [](AttentionSpec& spec, const nn::Inputs& in) {
        AttentionScore& score = spec.score;
        score.query_temperature = in.at("tq");
        score.key_temperature = in.at("tk");
        score.bias = in.at("b");
        score.table = in.at("t");
        score.relative = relative_positions(7, 7, 2);
        score.sink = in.at("s");
        score.relative_logits[0] = {in.at("r"), relative_positions(7, 7, 2)};
        spec.pattern = AttentionPattern::causal();
      });
  c.add("attention_qkv", {floats("x", {2, 7, 48})}, [](const nn::Inputs& in) {
    return attention_qkv(x(in), 4, 2, {.pattern = AttentionPattern::causal()});
  });
  c.add("attention_column_sums", with(heads(), {floats("w", {2, 4, 7})}), [](const nn::Inputs& in) {
    const AttentionSpec spec{.pattern = AttentionPattern::causal()};
    const auto y = attention(in.at("q"), in.at("k"), in.at("v"), spec);
    return attention_column_sums(in.at("q"), in.at("k"), y.lse, spec, in.at("w"));
  });
  c.add("attention_bucket_sums", heads(), [](const nn::Inputs& in) {
    const AttentionSpec spec{.pattern = AttentionPattern::causal()};
    const auto y = attention(in.at("q"), in.at("k"), in.at("v"), spec);
    return attention_bucket_sums(in.at("q"), in.at("k"), y.lse, spec, relative_positions(7, 7, 2),
                                 5);
  });
  for (const std::vector<double>& factors :
       {std::vector<double>{}, std::vector<double>{0.5, 2.0}}) {
    c.add(fmt::format("merge_attentions {}", factors.size()), heads(),
          [factors](const nn::Inputs& in) {
            const auto part = [&](const AttentionPattern& of) {
              return attention(in.at("q"), in.at("k"), in.at("v"), {.pattern = of});
            };
            const auto y = merge_attentions(
                {part(AttentionPattern::prefix(3)), part(AttentionPattern::causal(-3))}, factors);
            return std::vector<Tensor>{y.out, y.lse};
          });
  }
  c.add("relative_logits", {floats("q", {2, 4, 7, 6}), floats("t", {4, 5, 6})},
        [](const nn::Inputs& in) { return relative_logits(in.at("q"), in.at("t")); });
  const Tensor positions = Tensor::from<int64_t>({3, 1, 4, 1, 5, 9, 2}, {7});
  for (const bool interleaved : {false, true}) {
    const RotaryOptions how{.rotary_dim = 4, .interleaved = interleaved};
    c.add(fmt::format("rotary {}", interleaved), {floats("x", {2, 4, 7, 6})},
          [=](const nn::Inputs& in) { return rotary(x(in), positions, how); });
    c.add(fmt::format("rotary_qkv {}", interleaved), {floats("x", {2, 7, 48})},
          [=](const nn::Inputs& in) { return rotary_qkv(x(in), 4, 2, positions, how); });
  }
}

}  // namespace

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> all = [] {
    Cases c;
    for (const auto part : {elementwise, comparisons, layouts, indexing, products, reductions,
                            norms, fourier, recurrences, solves, attentions}) {
      part(c);
    }
    return c.all;
  }();
  return all;
}

}  // namespace heed::recipes::onnx
