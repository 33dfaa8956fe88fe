// The registry of datasets: what `heed list datasets` shows and a recipe's `data: {type: ...}` can
// name.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/image_texts.h"
#include "data/labelled_dataset.h"
#include "data/text_dataset.h"
#include "data/text_pairs.h"
#include "data/user_items.h"

namespace heed::data {

struct DatasetEntry {
  std::string name;
  /// "text" (a stream of tokens), "images", "clips", "masks", "features" or "texts" (labelled),
  /// "image-pairs" (one image for another), "pairs" (one text for another), "image-texts" (words
  /// about a picture), "sequences" (users and items),
  /// "synthetic" (made sequences with answers)
  std::string kind;
  std::string summary;             ///< one line
  std::function<Config()> schema;  ///< JSON Schema of its options
  std::function<std::unique_ptr<TextDataset>(const Config&)> open_text;          ///< or null
  std::function<std::unique_ptr<LabelledDataset>(const Config&)> open_labelled;  ///< or null
  std::function<UserItems(const Config&)> open_sequences;                        ///< or null
  std::function<std::unique_ptr<TextPairs>(const Config&)> open_pairs;           ///< or null
  std::function<std::unique_ptr<ImageTexts>(const Config&)> open_image_texts;    ///< or null
};

/// All entries, sorted by name.
const std::vector<DatasetEntry>& dataset_registry();

/// The entry of that name; a RequestError with a suggestion otherwise.
const DatasetEntry& find_dataset(const std::string& name, const SourceLocation& where = {});

}  // namespace heed::data
