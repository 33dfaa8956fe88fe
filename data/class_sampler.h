// Batches by class: so many classes, and so many examples of each. Episodes of N ways, with K shots
// and Q queries of each, are such draws (Vinyals et al., arXiv 1606.04080), and so are the P x K
// batches of identities that triplets are mined in (Hermans et al., arXiv 1703.07737).
#pragma once

#include <cstdint>
#include <vector>

#include "core/random.h"
#include "data/labelled_dataset.h"

namespace heed::data {

class ClassSampler {
 public:
  /// The classes of a part with at least `least` >= 1 examples there; the others are never drawn.
  ClassSampler(const LabelledDataset& data, Part part, int64_t least);

  /// Classes that may be drawn.
  int64_t classes() const { return static_cast<int64_t>(examples_.size()); }

  /// `ways` different classes, every one as likely as another, and `each` of their examples,
  /// different ones where the class has so many (else all, then again from the first): [ways *
  /// each] examples of the part, class after class. A function of the key alone. An Error for more
  /// ways than classes().
  std::vector<int64_t> draw(const RandomKey& key, int64_t ways, int64_t each) const;

  /// The rows of draw(), in training (`augment`) with random transforms of their own.
  std::vector<ExampleRow> rows(const RandomKey& key, int64_t ways, int64_t each,
                               bool augment) const;

 private:
  std::vector<std::vector<int64_t>> examples_;  // of each class, ascending
};

/// `count` <= n different numbers below n, in a drawn order: every such list is as likely.
std::vector<int64_t> draw_different(const RandomKey& key, int64_t n, int64_t count);

}  // namespace heed::data
