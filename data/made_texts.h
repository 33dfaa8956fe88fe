// Labelled texts that a formula makes: example `index` of a part is a function of (seed, part,
// index) alone.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/labelled_dataset.h"
#include "data/procedural_scenes.h"
#include "data/word_tokenizer.h"

namespace heed::data {

class MadeTexts : public LabelledDataset {
 public:
  const char* kind() const override { return "texts"; }
  int64_t size(Part part) const override;
  int64_t label(Part part, int64_t index) const override { return example(part, index).second; }
  Shape example_shape() const override { return {longest_}; }
  const Tokenizer* tokenizer() const override { return &tokenizer_; }
  LabelledBatch gather(Part part, std::span<const ExampleRow> rows) const override;

 protected:
  /// Texts of at most `longest` words, of those whose ids begin at 2 (padding, unknown). `what` is
  /// the summary's beginning.
  MadeTexts(const ProceduralParts& parts, int64_t longest, std::vector<std::string> words,
            const std::string& what);

  /// Ids of a text, and its class; `seed` is the part's.
  virtual std::pair<std::vector<int64_t>, int64_t> make(uint64_t seed, int64_t index) const = 0;

 private:
  std::pair<std::vector<int64_t>, int64_t> example(Part part, int64_t index) const;

  ProceduralParts parts_;
  int64_t longest_;
  WordTokenizer tokenizer_;
};

}  // namespace heed::data
