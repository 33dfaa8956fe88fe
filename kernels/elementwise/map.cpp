#include "kernels/elementwise/map.h"

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/strided.h"

namespace heed::kernels {
namespace {

constexpr int64_t kGrain = 16384;  // elements of a chunk
constexpr int64_t kGather = 256;   // elements of a strided row that are gathered at a time

double read(DType dtype, const char* at) {
  return dispatch_any(dtype, [&](auto type) {
    return static_cast<double>(*reinterpret_cast<const decltype(type)*>(at));
  });
}

template <class Word>
void gather(const char* from, int64_t step, int64_t n, char* to) {
  const Word* in = reinterpret_cast<const Word*>(from);
  Word* out = reinterpret_cast<Word*>(to);
  for (int64_t i = 0; i < n; ++i) out[i] = in[i * step];
}

void gather(int64_t size, const char* from, int64_t step, int64_t n, char* to) {
  if (size == 2) {
    gather<uint16_t>(from, step, n, to);
  } else if (size == 4) {
    gather<uint32_t>(from, step, n, to);
  } else {
    gather<uint64_t>(from, step, n, to);
  }
}

// One map: operands' memory beside the loop over it. Inputs come first among the loop's operands.
class Map {
 public:
  Map(const char* op, RowFn fn, std::span<const Tensor> in, std::span<const Tensor> out)
      : fn_(fn), in_(in), out_(out), loop_(out[0].shape(), strides(op, in, out)) {
    for (size_t k = 0; k < in.size(); ++k) {
      const int64_t step = loop_.step(static_cast<int>(k));
      is_number_[k] = step == 0 || in[k].rank() == 0;
      gathers_ = gathers_ || (!is_number_[k] && step != 1);
      base_[k] = static_cast<char*>(in[k].raw());
      size_[k] = static_cast<int64_t>(size_of(in[k].dtype()));
    }
    for (size_t k = 0; k < out.size(); ++k) {
      HEED_CHECK(loop_.step(static_cast<int>(in.size() + k)) == 1,
                 "{}: the rows of a result of shape {} with strides {} are not contiguous", op,
                 out[k].shape(), out[k].strides());
      base_[in.size() + k] = static_cast<char*>(out[k].raw());
      size_[in.size() + k] = static_cast<int64_t>(size_of(out[k].dtype()));
    }
  }

  void run() const {
    parallel_for(loop_.numel(), kGrain, [&](int64_t begin, int64_t end) {
      loop_.for_each_row(begin, end, [&](const StridedLoop::Offsets& at, int64_t n) {
        const int64_t piece = gathers_ ? kGather : n;
        for (int64_t i = 0; i < n; i += piece) run_row(at, i, std::min(piece, n - i));
      });
    });
  }

 private:
  static std::vector<Shape> strides(const char* op, std::span<const Tensor> in,
                                    std::span<const Tensor> out) {
    std::vector<Shape> all;
    for (const Tensor& x : in) all.push_back(broadcast_strides(x, out[0].shape(), op));
    for (const Tensor& x : out) {
      HEED_CHECK(x.shape() == out[0].shape(), "{}: results of shapes {} and {}", op, x.shape(),
                 out[0].shape());
      all.push_back(x.strides());
    }
    return all;
  }

  void run_row(const StridedLoop::Offsets& at, int64_t first, int64_t n) const {
    alignas(64) std::array<std::array<char, kGather * 8>, Row::kMaxInputs> gathered;
    Row row{.n = n};
    for (size_t k = 0; k < in_.size(); ++k) {
      const int64_t step = loop_.step(static_cast<int>(k));
      const char* from = base_[k] + (at[k] + first * step) * size_[k];
      if (is_number_[k]) {
        row.number[k] = read(in_[k].dtype(), from);
      } else if (step == 1) {
        row.in[k] = from;
      } else {
        gather(size_[k], from, step, n, gathered[k].data());
        row.in[k] = gathered[k].data();
      }
    }
    for (size_t k = 0; k < out_.size(); ++k) {
      const size_t operand = in_.size() + k;
      row.out[k] = base_[operand] + (at[operand] + first) * size_[operand];
    }
    fn_(row);
  }

  RowFn fn_;
  std::span<const Tensor> in_, out_;
  StridedLoop loop_;
  bool gathers_ = false;
  std::array<bool, Row::kMaxInputs> is_number_{};
  std::array<char*, Row::kMaxInputs + Row::kMaxOutputs> base_{};
  std::array<int64_t, Row::kMaxInputs + Row::kMaxOutputs> size_{};
};

// The map as plain data for a device, whose inputs of one number are read here when they lie on the
// CPU.
ElementMap plan_on_device(const char* op, std::span<const Tensor> in, std::span<const Tensor> out) {
  std::vector<Shape> strides;
  for (const Tensor& x : in) strides.push_back(broadcast_strides(x, out[0].shape(), op));
  for (const Tensor& x : out) strides.push_back(x.strides());
  ElementMap map{.dtype = out[0].dtype(),
                 .inputs = static_cast<int>(in.size()),
                 .outputs = static_cast<int>(out.size()),
                 .loop = StridedLoop(out[0].shape(), strides).plan()};
  const int wide = static_cast<int>(16 / size_of(map.dtype)), last = map.loop.dims - 1;
  bool side_by_side = map.loop.extents[last] % wide == 0;
  const auto visit = [&](const Tensor& x, size_t operand, bool written) {
    const auto* s = map.loop.strides[operand];
    side_by_side = side_by_side && reinterpret_cast<uintptr_t>(x.raw()) % 16 == 0 &&
                   (s[last] == 1 || (!written && s[last] == 0));
    for (int d = 0; d < last; ++d)
      side_by_side = side_by_side && (s[d] % wide == 0 || s[last] == 0);
  };
  for (size_t k = 0; k < in.size(); ++k) {
    if (in[k].device().is_cpu()) {
      map.number[k] = in[k].item();
      continue;
    }
    map.in[k] = in[k].raw();
    visit(in[k], k, false);
  }
  for (size_t k = 0; k < out.size(); ++k) {
    map.out[k] = out[k].raw();
    visit(out[k], in.size() + k, true);
  }
  if (!side_by_side) return map;
  map.lanes = wide;
  map.loop.numel /= wide;
  map.loop.extents[last] /= wide;
  for (auto& s : map.loop.strides) s[last] *= wide;
  return map;
}

void map_on_device(const char* op, DeviceMapFn fn, std::span<const Tensor> in,
                   std::span<const Tensor> out) {
  std::vector<Tensor> inputs(in.begin(), in.end());
  for (Tensor& x : inputs) {
    const bool number = x.rank() == 0 && x.device().is_cpu();
    HEED_CHECK(number || x.device() == out[0].device(), "{}: {} on {} beside {} on {}", op, x,
               x.device().to_string(), out[0], out[0].device().to_string());
    if (!number && x.dtype() != out[0].dtype()) x = cast(x, out[0].dtype());
  }
  const OpCall call(op, inputs[0].device().is_cpu() ? out[0] : inputs[0], out[0]);
  fn(plan_on_device(op, inputs, out));
}

}  // namespace

void map_rows(const char* op, MapFunction fn, std::initializer_list<Tensor> in,
              std::initializer_list<Tensor> out) {
  HEED_CHECK(in.size() <= Row::kMaxInputs && out.size() <= Row::kMaxOutputs,
             "{}: a map of {} inputs and {} outputs", op, in.size(), out.size());
  for (const Tensor& x : in) {
    HEED_CHECK(x.rank() == 0 || x.dtype() == out.begin()->dtype(), "{}: {} beside a result of {}",
               op, x, name_of(out.begin()->dtype()));
  }
  if (out.begin()->numel() == 0) return;
  if (fn.device() != nullptr) {
    map_on_device(op, fn.device(), {in.begin(), in.size()}, {out.begin(), out.size()});
  } else {
    for (const Tensor& x : in) require_cpu(x.device(), op);
    for (const Tensor& x : out) require_cpu(x.device(), op);
    Map(op, fn.rows(), {in.begin(), in.size()}, {out.begin(), out.size()}).run();
  }
  for (const Tensor& x : out) x.bump_version();
}

}  // namespace heed::kernels
