// Memory-bound kernels: copies, casts, elementwise functions, reductions, random numbers. Each
// reports the bytes that it must move a second; "copy" is the yardstick of the same run. See
// tests/interop/elementwise_bench.py for the same in PyTorch.
#include <benchmark/benchmark.h>

#include <functional>

#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/accumulate.h"
#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/unary.h"
#include "kernels/random/dropout.h"
#include "kernels/random/fill.h"
#include "kernels/reduce/reduce.h"

namespace heed::kernels {
namespace {

const RandomKey kKey{1, 2, 3};

struct Operands {
  Tensor x, y, row, out;  // [rows, columns] twice, [columns], [rows, columns]
};

struct Case {
  const char* name;
  int moves;  // tensors of x's size that are read or written
  std::function<void(const Operands&)> run;
};

const std::vector<Case>& cases() {
  const auto unary_case = [](Unary op) {
    return [op](const Operands& o) { benchmark::DoNotOptimize(unary(op, o.x).raw()); };
  };
  const auto backward_case = [](Unary op) {
    return
        [op](const Operands& o) { benchmark::DoNotOptimize(unary_backward(op, o.y, o.x).raw()); };
  };
  static const std::vector<Case> all = {
      {"copy", 2, [](const Operands& o) { copy(o.x, o.out); }},
      {"transpose", 2, [](const Operands& o) { contiguous(views::transpose(o.x, 0, 1)); }},
      {"to f32", 2, [](const Operands& o) { contiguous_as(o.x, DType::f32); }},
      {"to bf16", 2, [](const Operands& o) { contiguous_as(o.x, DType::bf16); }},
      {"add", 3, [](const Operands& o) { binary(Binary::add, o.x, o.y); }},
      {"add row", 2, [](const Operands& o) { binary(Binary::add, o.x, o.row); }},
      {"mul number", 2, [](const Operands& o) { binary(Binary::mul, o.x, 1.5); }},
      {"add in place", 3, [](const Operands& o) { add_inplace(o.out, o.x); }},
      {"exp", 2, unary_case(Unary::exp)},
      {"tanh", 2, unary_case(Unary::tanh)},
      {"silu", 2, unary_case(Unary::silu)},
      {"gelu", 2, unary_case(Unary::gelu)},
      {"gelu backward", 3, backward_case(Unary::gelu)},
      {"gelu_tanh", 2, unary_case(Unary::gelu_tanh)},
      {"gelu_tanh backward", 3, backward_case(Unary::gelu_tanh)},
      {"swiglu", 3, [](const Operands& o) { swiglu(o.x, o.y); }},
      {"sum rows", 1, [](const Operands& o) { sum(o.x, {1}, false); }},
      {"sum columns", 1, [](const Operands& o) { sum(o.x, {0}, false); }},
      {"dropout", 2, [](const Operands& o) { dropout(o.x, 0.1, kKey); }},
      {"fill uniform", 1, [](const Operands& o) { fill_uniform(o.out, 0, 1, kKey); }},
      {"fill normal", 1, [](const Operands& o) { fill_normal(o.out, 0, 1, kKey); }},
      {"fill truncated normal", 1,
       [](const Operands& o) { fill_truncated_normal(o.out, 0, 1, 2, kKey); }},
  };
  return all;
}

void run(benchmark::State& state, const Case& c, const Shape& shape, DType dtype) {
  Operands o{Tensor::empty(shape, dtype), Tensor::empty(shape, dtype),
             Tensor::empty({shape[1]}, dtype), Tensor::zeros(shape, dtype)};
  fill_normal(o.x, 0, 1, kKey);
  fill_normal(o.y, 0, 1, kKey.derive(1));
  fill_normal(o.row, 0, 1, kKey.derive(2));
  for (auto _ : state) c.run(o);
  state.SetBytesProcessed(state.iterations() * c.moves * o.x.bytes());
}

}  // namespace
}  // namespace heed::kernels

int main(int argc, char** argv) {
  using namespace heed;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Shape& shape : {Shape{768, 512}, Shape{4096, 1536}}) {
      for (const kernels::Case& c : kernels::cases()) {
        benchmark::RegisterBenchmark(
            fmt::format("{}/{}{}", c.name, name_of(dtype), shape).c_str(),
            [&c, shape, dtype](benchmark::State& state) { kernels::run(state, c, shape, dtype); })
            ->UseRealTime()
            ->MinTime(0.1);
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
