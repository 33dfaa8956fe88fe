#include "kernels/random/dropout.h"

#include <algorithm>
#include <array>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/device_bytes.h"
#include "kernels/random/dropout_rows.h"
#include "kernels/random/random_rows.h"

namespace heed::kernels {

DeviceKernel<void(const DropoutRows&)> dropout_cuda;
DeviceKernel<void(const DropoutPart&)> dropout_part_cuda;

namespace {

constexpr int64_t kGrain = 16384;  // elements of a chunk: a multiple of 4

void drop(const RandomStream& stream, uint32_t threshold, double scale, const double* x,
          int64_t first, int64_t n, double* to) {
  std::array<uint32_t, 256> drawn;
  const int64_t step = static_cast<int64_t>(drawn.size());
  for (int64_t begin = 0; begin < n; begin += step) {
    const int64_t count = std::min(step, n - begin);
    random_words(stream, first + begin, count, drawn.data());
    for (int64_t i = 0; i < count; ++i) {
      to[begin + i] = drawn[static_cast<size_t>(i)] < threshold ? 0.0 : x[begin + i] * scale;
    }
  }
}

// The same from any first element, by way of the drawn words.
template <class T>
void drop_from(const RandomStream& stream, uint32_t threshold, accumulate_t<T> scale, const T* x,
               int64_t first, int64_t n, T* to) {
  std::array<uint32_t, 256> drawn;
  const int64_t step = static_cast<int64_t>(drawn.size()) - 4;
  for (int64_t begin = 0; begin < n; begin += step) {
    const int64_t count = std::min(step, n - begin);
    const int64_t skip = (first + begin) % 4;
    random_words(stream, first + begin - skip, count + skip, drawn.data());
    for (int64_t i = 0; i < count; ++i) {
      const bool dropped = drawn[static_cast<size_t>(skip + i)] < threshold;
      to[begin + i] = dropped ? T(0.0f) : static_cast<T>(accumulate_t<T>(x[begin + i]) * scale);
    }
  }
}

// Lines of the last dimension, each where it lies in its row of the whole.
template <class T>
void drop_lines(const Tensor& x, const Tensor& out, double p, const RandomKey& key,
                const DrawPlace& place) {
  const int rank = x.rank();
  const int64_t tokens = rank > 2 ? x.size(1) : 1, columns = x.size(-1);
  const int64_t whole = place.columns > 0 ? place.columns : columns;
  const int64_t middle = x.numel() / (x.size(0) * tokens * columns);  // lines of a token
  const auto threshold = static_cast<uint32_t>(p * 0x1p32);
  const auto scale = static_cast<accumulate_t<T>>(1.0 / (1.0 - p));
  const int64_t lines = x.size(0) * tokens * middle;
  parallel_for(lines, std::max<int64_t>(1, kGrain / columns), [&](int64_t first, int64_t last) {
    for (int64_t line = first; line < last; ++line) {
      const int64_t row = line / (tokens * middle), token = line / middle % tokens;
      const int64_t at = place.tokens.empty() ? token : place.tokens[static_cast<size_t>(token)];
      const RandomStream stream(key.derive(place.first_row + static_cast<uint64_t>(row)));
      const int64_t element = (at * middle + line % middle) * whole + place.first_column;
      drop_from(stream, threshold, scale, x.data<T>() + line * columns, element, columns,
                out.data<T>() + line * columns);
    }
  });
}

DropoutRows rows_of(const Tensor& x, const Tensor& out, double p, const RandomKey& key,
                    const DrawPlace& place) {
  HEED_CHECK(is_floating(x.dtype()), "dropout: of {}", x);
  const int64_t rows = x.rank() == 0 ? 1 : x.size(0);
  return {.dtype = x.dtype(),
          .rows = rows,
          .width = x.numel() / rows,
          .key = key,
          .first_row = place.first_row,
          .threshold = static_cast<uint32_t>(p * 0x1p32),
          .scale = 1.0 / (1.0 - p),
          .x = x.raw(),
          .out = out.raw()};
}

void drop_part_on_device(const Tensor& x, const Tensor& out, double p, const RandomKey& key,
                         const DrawPlace& place) {
  const int64_t tokens = x.rank() > 2 ? x.size(1) : 1, columns = x.size(-1);
  const Tensor at = device_bytes(place.tokens, x.device());
  dropout_part_cuda({"dropout", x},
                    {.of = rows_of(x, out, p, key, place),
                     .tokens = tokens,
                     .middle = x.numel() / (x.size(0) * tokens * columns),
                     .columns = columns,
                     .whole = place.columns > 0 ? place.columns : columns,
                     .first_column = place.first_column,
                     .at = place.tokens.empty() ? nullptr : static_cast<const int64_t*>(at.raw())});
}

}  // namespace

Tensor dropout(const Tensor& x, double p, const RandomKey& key, const DrawPlace& place) {
  const Tensor from = contiguous(x);
  const Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  if (x.numel() == 0) return out;
  if (!place.whole_rows()) {
    HEED_CHECK(x.rank() > 1, "dropout: wants [rows, ..., columns] of a larger tensor, got {}", x);
    HEED_CHECK(place.tokens.empty() || (x.rank() > 2 && std::ssize(place.tokens) == x.size(1)),
               "dropout: {} tokens of a larger tensor do not fit {}", place.tokens.size(), x);
    if (x.device().is_cuda()) {
      drop_part_on_device(from, out, p, key, place);
      return out;
    }
    dispatch_floating(x.dtype(), "dropout",
                      [&](auto type) { drop_lines<decltype(type)>(from, out, p, key, place); });
    return out;
  }
  const uint32_t threshold = static_cast<uint32_t>(p * 0x1p32);
  const int64_t rows = x.rank() == 0 ? 1 : x.size(0), width = x.numel() / rows;
  if (x.device().is_cuda()) {
    dropout_cuda({"dropout", x}, rows_of(from, out, p, key, place));
    return out;
  }
  // Short rows go together, long ones in pieces.
  const int64_t together = std::max<int64_t>(1, kGrain / width);
  const int64_t piece = std::min(kGrain, width), pieces = (width + piece - 1) / piece;
  dispatch_floating(x.dtype(), "dropout", [&](auto type) {
    using T = decltype(type);
    const T* in = from.data<T>();
    T* to = out.data<T>();
    const auto scale = static_cast<accumulate_t<T>>(1.0 / (1.0 - p));
    parallel_for(rows * pieces, together, [&](int64_t first, int64_t last) {
      for (int64_t task = first; task < last; ++task) {
        const int64_t row = task / pieces, begin = task % pieces * piece;
        const RandomStream stream(key.derive(place.first_row + static_cast<uint64_t>(row)));
        drop(stream, threshold, scale, in + row * width + begin, begin,
             std::min(piece, width - begin), to + row * width + begin);
      }
    });
  });
  return out;
}

}  // namespace heed::kernels
