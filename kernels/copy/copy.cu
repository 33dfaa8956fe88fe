// Three ways: rows of 32 x 32 tiles through shared memory where src is contiguous along another
// dimension than dst, 16 bytes at a time where both are contiguous along the last, one element a
// thread elsewhere. Bytes moved: one read of src and one write of dst.
#include "kernels/copy/convert.h"
#include "kernels/copy/strided_copy.h"
#include "kernels/cuda/each.h"
#include "kernels/cuda/shared.h"
#include "kernels/cuda/vector.h"

namespace heed::kernels::cuda {
namespace {

constexpr int kTile = 32, kTileRows = 8;

template <class T>
__global__ void copy_elements(StridedPlan loop, const T* src, T* dst) {
  for_each_place<2>(loop, [&](const int64_t(&at)[2]) { dst[at[1]] = src[at[0]]; });
}

// A number of any dtype, without loss.
struct Number {
  bool integral;
  int64_t i;
  double d;
};

template <class T>
__device__ Number number_of(T value) {
  if constexpr (std::is_integral_v<T>) return {true, static_cast<int64_t>(value), 0.0};
  return {false, 0, static_cast<double>(value)};
}

__device__ Number read(DType dtype, const void* from, int64_t at) {
  switch (dtype) {
    case DType::f32:
      return number_of(static_cast<const float*>(from)[at]);
    case DType::bf16:
      return number_of(static_cast<float>(static_cast<const bfloat16*>(from)[at]));
    case DType::f16:
      return number_of(static_cast<float>(static_cast<const float16*>(from)[at]));
    case DType::f64:
      return number_of(static_cast<const double*>(from)[at]);
    case DType::i32:
      return number_of(static_cast<const int32_t*>(from)[at]);
    case DType::i64:
      return number_of(static_cast<const int64_t*>(from)[at]);
    case DType::u8:
      return number_of(static_cast<const uint8_t*>(from)[at]);
    case DType::boolean:
      return number_of(static_cast<const bool*>(from)[at]);
  }
  return {};
}

template <class To>
__device__ void write(const Number& number, To* to) {
  *to = number.integral ? convert<To>(number.i) : convert<To>(number.d);
}

// One kernel for all pairs of dtypes but the hot ones: the switches go one way for a whole grid.
__global__ void convert_elements(StridedPlan loop, DType from, DType to, const void* src,
                                 void* dst) {
  for_each_place<2>(loop, [&](const int64_t(&at)[2]) {
    const Number x = read(from, src, at[0]);
    switch (to) {
      case DType::f32:
        write(x, static_cast<float*>(dst) + at[1]);
        break;
      case DType::bf16:
        write(x, static_cast<bfloat16*>(dst) + at[1]);
        break;
      case DType::f16:
        write(x, static_cast<float16*>(dst) + at[1]);
        break;
      case DType::f64:
        write(x, static_cast<double*>(dst) + at[1]);
        break;
      case DType::i32:
        write(x, static_cast<int32_t*>(dst) + at[1]);
        break;
      case DType::i64:
        write(x, static_cast<int64_t*>(dst) + at[1]);
        break;
      case DType::u8:
        write(x, static_cast<uint8_t*>(dst) + at[1]);
        break;
      case DType::boolean:
        write(x, static_cast<bool*>(dst) + at[1]);
        break;
    }
  });
}

// Between f32 and bf16, kVector elements of a contiguous row at a time: the loop counts groups.
template <int kVector, class From, class To>
__global__ void convert_rows(StridedPlan loop, const From* src, To* dst) {
  for_each_place<2>(loop, [&](const int64_t(&at)[2]) {
    float x[kVector];
    load(src + at[0], x);
    store(x, dst + at[1]);
  });
}

// dst[.., r, .., c] = src[.., r, .., c]: src is contiguous along dimension `rows`, dst along the
// last. Blocks: tiles of the two dimensions, then all other places.
template <class T>
__global__ void copy_transposed(StridedPlan others, int64_t rows, int64_t columns, int64_t src_step,
                                int64_t dst_step, const T* src, T* dst) {
  struct Tile {
    T x[kTile][kTile + 1];  // the odd width spreads a column over the banks
  };
  T(&tile)[kTile][kTile + 1] = shared<Tile>().x;
  const int64_t row_tiles = (rows + kTile - 1) / kTile;
  const int64_t column_tiles = (columns + kTile - 1) / kTile;
  const int64_t tiles = row_tiles * column_tiles * others.numel;
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  for (int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
    const int64_t c = t % column_tiles * kTile, r = t / column_tiles % row_tiles * kTile;
    int64_t at[2];
    others.offsets(t / (column_tiles * row_tiles), at);
    for (int k = y; k < kTile; k += kTileRows) {
      if (r + x < rows && c + k < columns) tile[k][x] = src[at[0] + (c + k) * src_step + r + x];
    }
    __syncthreads();
    for (int k = y; k < kTile; k += kTileRows) {
      if (r + k < rows && c + x < columns) dst[at[1] + (r + k) * dst_step + c + x] = tile[x][k];
    }
    __syncthreads();
  }
}

template <class T>
void copy_sized(const StridedCopy& c) {
  const T* src = static_cast<const T*>(c.src);
  T* dst = static_cast<T*>(c.dst);
  if (c.transposed < 0) {
    launch(copy_elements<T>, each_blocks(c.loop.numel), kEachThreads, 0, current_stream(), c.loop,
           src, dst);
    return;
  }
  const int last = c.loop.dims - 1, dim = c.transposed;
  const int64_t rows = c.loop.extents[dim], columns = c.loop.extents[last];
  StridedPlan others;
  others.numel = c.loop.numel / (rows * columns);
  for (int d = 0; d < last; ++d) {
    if (d == dim) continue;
    others.extents[others.dims] = c.loop.extents[d];
    for (int k = 0; k < 2; ++k) others.strides[k][others.dims] = c.loop.strides[k][d];
    ++others.dims;
  }
  if (others.dims == 0) {
    others.dims = 1;
    others.extents[0] = 1;
  }
  const int64_t tiles = ceil_div(rows, kTile) * ceil_div(columns, kTile) * others.numel;
  launch(copy_transposed<T>, grid_for(tiles), dim3(kTile, kTileRows), 0, current_stream(), others,
         rows, columns, c.loop.strides[0][last], c.loop.strides[1][dim], src, dst);
}

// The loop over groups of `lanes` neighbours, when every row and both pointers allow it.
bool in_groups(const StridedCopy& c, int lanes, size_t from_size, size_t to_size,
               StridedPlan* groups) {
  const int last = c.loop.dims - 1;
  bool fits = c.loop.strides[0][last] == 1 && c.loop.strides[1][last] == 1 &&
              c.loop.extents[last] % lanes == 0 &&
              reinterpret_cast<uintptr_t>(c.src) % (from_size * static_cast<size_t>(lanes)) == 0 &&
              reinterpret_cast<uintptr_t>(c.dst) % (to_size * static_cast<size_t>(lanes)) == 0;
  for (int d = 0; d < last; ++d) {
    fits = fits && c.loop.strides[0][d] % lanes == 0 && c.loop.strides[1][d] % lanes == 0;
  }
  *groups = c.loop;
  groups->numel /= lanes;
  groups->extents[last] /= lanes;
  groups->strides[0][last] = groups->strides[1][last] = lanes;
  return fits;
}

// Rows of equal dtype as 16-byte words; false when they do not lie so.
bool copy_words(const StridedCopy& c, size_t size) {
  StridedPlan groups;
  const int lanes = static_cast<int>(16 / size);
  if (!in_groups(c, lanes, size, size, &groups)) return false;
  for (int d = 0; d < groups.dims; ++d) {
    for (int k = 0; k < 2; ++k) groups.strides[k][d] /= lanes;
  }
  using Word = Packed<uint32_t, 4>;
  launch(copy_elements<Word>, each_blocks(groups.numel), kEachThreads, 0, current_stream(), groups,
         static_cast<const Word*>(c.src), static_cast<Word*>(c.dst));
  return true;
}

template <class From, class To>
bool convert_vectors(const StridedCopy& c) {
  constexpr int kVector = 4;
  StridedPlan groups;
  if (!in_groups(c, kVector, sizeof(From), sizeof(To), &groups)) return false;
  launch(convert_rows<kVector, From, To>, each_blocks(groups.numel), kEachThreads, 0,
         current_stream(), groups, static_cast<const From*>(c.src), static_cast<To*>(c.dst));
  return true;
}

size_t bytes_of(DType dtype) {
  switch (dtype) {
    case DType::u8:
    case DType::boolean:
      return 1;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::f32:
    case DType::i32:
      return 4;
    default:
      return 8;
  }
}

void run(const StridedCopy& c) {
  if (c.from == c.to) {
    const size_t size = bytes_of(c.from);
    if (copy_words(c, size)) return;
    if (size == 1) return copy_sized<uint8_t>(c);
    if (size == 2) return copy_sized<uint16_t>(c);
    if (size == 4) return copy_sized<uint32_t>(c);
    return copy_sized<uint64_t>(c);
  }
  if (c.from == DType::f32 && c.to == DType::bf16 && convert_vectors<float, bfloat16>(c)) return;
  if (c.from == DType::bf16 && c.to == DType::f32 && convert_vectors<bfloat16, float>(c)) return;
  launch(convert_elements, each_blocks(c.loop.numel), kEachThreads, 0, current_stream(), c.loop,
         c.from, c.to, c.src, c.dst);
}

}  // namespace

void provide_copy() { strided_copy_cuda.provide(run); }

}  // namespace heed::kernels::cuda
