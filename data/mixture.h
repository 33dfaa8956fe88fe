// Weighted mixtures of corpora: which of them each row of the training is taken from.
//
// Rows come in blocks of kBlock. Up to the end of every block each corpus has had its share of all
// rows, rounded: not by chance, so that a small weight is kept too. Within a block the order is
// drawn by (seed, block). So the corpus of a row, and how many of that corpus came before it, are
// functions of the row's number: nothing has to be remembered, whatever ranks and threads there
// are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace heed::data {

class Mixture {
 public:
  static constexpr uint64_t kBlock = 4096;

  /// Weights > 0 of the corpora, of any sum; a corpus of less than 2 / kBlock of it is a
  /// RequestError.
  Mixture(uint64_t seed, const std::vector<double>& weights);

  struct Draw {
    size_t corpus = 0;
    uint64_t nth = 0;  ///< rows of that corpus before this one
  };
  /// Of row `row` of the whole training.
  Draw operator()(uint64_t row) const;

  /// Rows of a corpus among the first `rows`.
  uint64_t count(size_t corpus, uint64_t rows) const;

 private:
  uint64_t before(size_t corpus, uint64_t block) const;

  uint64_t seed_;
  std::vector<uint64_t> ends_;  ///< of each corpus in [0, kUnits]
};

}  // namespace heed::data
