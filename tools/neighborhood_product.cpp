// The product form: each box of queries is multiplied with the box of keys around it. What the box
// holds beyond the queries' windows is computed and dropped, or enters as zeros.
#include <algorithm>
#include <array>

#include "core/parallel.h"
#include "core/views.h"
#include "kernels/matmul/matmul.h"
#include "tools/neighborhood_forms.h"

namespace heed::tools {
namespace {

constexpr int64_t kBoxTokens = 64;
constexpr int64_t kRows = 64;  // copied by one task

/// A box of queries of one residue, the keys that any of them sees, and where these lie in A.
struct Tile {
  std::vector<int64_t> queries, keys;
  struct Run {
    int32_t query, key, place, count;  // in the box, in the box, in the query's row of A
  };
  std::vector<Run> runs;  // pairs that exist: neighbouring keys of one query
};

/// [S, N, D] -> the rows of `tokens`, [S, tokens, D].
Tensor gathered(const Tensor& x, const std::vector<int64_t>& tokens) {
  const int64_t width = x.size(2), sequences = x.size(0), count = std::ssize(tokens);
  const Tensor out = Tensor::empty({sequences, count, width}, DType::f32);
  parallel_for(sequences * count, kRows, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t token = tokens[static_cast<size_t>(row % count)];
      std::copy_n(x.data<float>() + (row / count * x.size(1) + token) * width, width,
                  out.data<float>() + row * width);
    }
  });
  return out;
}

void add_rows(const Tensor& rows, const std::vector<int64_t>& tokens, const Tensor& to) {
  const int64_t width = to.size(2), count = std::ssize(tokens);
  parallel_for(to.size(0) * count, kRows, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t token = tokens[static_cast<size_t>(row % count)];
      const float* from = rows.data<float>() + row * width;
      float* into = to.data<float>() + (row / count * to.size(1) + token) * width;
      for (int64_t c = 0; c < width; ++c) into[c] += from[c];
    }
  });
}

class Product final : public NeighborhoodOperators {
 public:
  explicit Product(const NeighborhoodGrid& grid) : grid_(grid) { make_tiles(); }

  void pn(const Tensor& x, const Tensor& y, const Tensor& a) const override {
    for (const Tile& tile : tiles_) {
      const Tensor scores = kernels::matmul(gathered(x, tile.queries),
                                            views::transpose(gathered(y, tile.keys), 1, 2));
      each_entry(tile, a, scores, [](float& weight, float& score) { weight = score; });
    }
  }

  Tensor nn(const Tensor& a, const Tensor& y) const override {
    const Tensor out = Tensor::zeros(y.shape(), DType::f32);
    for (const Tile& tile : tiles_)
      add_rows(kernels::matmul(dense(tile, a), gathered(y, tile.keys)), tile.queries, out);
    return out;
  }

  Tensor in(const Tensor& a, const Tensor& x) const override {
    const Tensor out = Tensor::zeros(x.shape(), DType::f32);
    for (const Tile& tile : tiles_)
      add_rows(kernels::matmul(views::transpose(dense(tile, a), 1, 2), gathered(x, tile.queries)),
               tile.keys, out);
    return out;
  }

 private:
  using Axis = NeighborhoodGrid::Axis;

  /// Calls fn(A's element, the tile's) for every visible pair of every sequence.
  template <class Fn>
  void each_entry(const Tile& tile, const Tensor& a, const Tensor& box, const Fn& fn) const {
    const int64_t width = grid_.neighbours(), rows = std::ssize(tile.queries);
    const int64_t keys = std::ssize(tile.keys);
    const int64_t runs = std::ssize(tile.runs);
    parallel_for(a.size(0) * runs, 8 * kRows, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t s = i / runs;
        const Tile::Run& run = tile.runs[static_cast<size_t>(i % runs)];
        const int64_t query = s * grid_.tokens() + tile.queries[static_cast<size_t>(run.query)];
        float* weight = a.data<float>() + query * width + run.place;
        float* value = box.data<float>() + (s * rows + run.query) * keys + run.key;
        for (int64_t c = 0; c < run.count; ++c) fn(weight[c], value[c]);
      }
    });
  }

  /// A's weights of a tile, with zeros for the pairs that do not exist.
  Tensor dense(const Tile& tile, const Tensor& a) const {
    const Tensor box =
        Tensor::zeros({a.size(0), std::ssize(tile.queries), std::ssize(tile.keys)}, DType::f32);
    each_entry(tile, a, box, [](float& weight, float& value) { value = weight; });
    return box;
  }

  void make_tiles() {
    // A cube's side of queries along each axis that is there: 64, 8 x 8, 4 x 4 x 4.
    int rank = 0;
    for (size_t a = 0; a < 3; ++a) rank += grid_.axis(a).of.length > 1;
    const int64_t side = rank <= 1 ? kBoxTokens : rank == 2 ? 8 : 4;
    std::array<std::vector<std::vector<int64_t>>, 3> runs;
    for (size_t a = 0; a < 3; ++a) {
      const NeighborhoodAxis& of = grid_.axis(a).of;
      for (int64_t residue = 0; residue < std::min(of.dilation, of.length); ++residue) {
        std::vector<int64_t> run;
        for (int64_t i = residue; i < of.length; i += of.dilation) {
          run.push_back(i);
          if (std::ssize(run) < side && i + of.dilation < of.length) continue;
          runs[a].push_back(std::move(run));
          run.clear();
        }
      }
    }
    for (const auto& x : runs[0])
      for (const auto& y : runs[1])
        for (const auto& z : runs[2]) tiles_.push_back(tile_of({x, y, z}));
  }

  Tile tile_of(const std::array<std::vector<int64_t>, 3>& queries) const {
    std::array<std::vector<int64_t>, 3> keys;
    for (size_t a = 0; a < 3; ++a) {
      const Axis& axis = grid_.axis(a);
      // Windows move on with their queries: the last one's ends last.
      const int64_t last = queries[a].back();
      const int64_t end =
          NeighborhoodGrid::key(axis, last, axis.count[static_cast<size_t>(last)] - 1);
      for (int64_t j = NeighborhoodGrid::key(axis, queries[a].front(), 0); j <= end;
           j += axis.of.dilation)
        keys[a].push_back(j);
    }
    Tile tile{tokens_of(queries), tokens_of(keys), {}};
    const Axis &x = grid_.axis(0), &y = grid_.axis(1), &z = grid_.axis(2);
    const auto at = [&](size_t a, const Axis& axis, int64_t query, int64_t t) {
      return (NeighborhoodGrid::key(axis, query, t) - keys[a].front()) / axis.of.dilation;
    };
    int32_t query = 0;
    for (const int64_t i : queries[0])
      for (const int64_t j : queries[1])
        for (const int64_t k : queries[2]) {
          for (int64_t a = 0; a < x.count[static_cast<size_t>(i)]; ++a)
            for (int64_t b = 0; b < y.count[static_cast<size_t>(j)]; ++b) {
              const int64_t line = at(0, x, i, a) * std::ssize(keys[1]) + at(1, y, j, b);
              const int64_t key = line * std::ssize(keys[2]) + at(2, z, k, 0);
              const int64_t place = (a * y.of.window + b) * z.of.window;
              tile.runs.push_back({query, static_cast<int32_t>(key), static_cast<int32_t>(place),
                                   z.count[static_cast<size_t>(k)]});
            }
          ++query;
        }
    return tile;
  }

  std::vector<int64_t> tokens_of(const std::array<std::vector<int64_t>, 3>& box) const {
    std::vector<int64_t> tokens;
    for (const int64_t i : box[0])
      for (const int64_t j : box[1])
        for (const int64_t k : box[2])
          tokens.push_back((i * grid_.axis(1).of.length + j) * grid_.axis(2).of.length + k);
    return tokens;
  }

  NeighborhoodGrid grid_;
  std::vector<Tile> tiles_;
};

}  // namespace

std::unique_ptr<NeighborhoodOperators> product_neighborhood(const NeighborhoodGrid& grid) {
  return std::make_unique<Product>(grid);
}

}  // namespace heed::tools
