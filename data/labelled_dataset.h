// LabelledDataset: examples with one class each, in a training, a validation and a test part.
//
// A batch is a function of (seed, index) alone, so a position in the data is an integer; batches
// may be made from any thread, so a Prefetcher (data/prefetch.h) decodes ahead of the training.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/config.h"
#include "core/random.h"
#include "core/tensor.h"
#include "data/batches.h"
#include "data/tokenizer.h"

namespace heed::data {

struct ImageBatch {
  Tensor images;  ///< f32 [B, H, W, C]; clips [B, T, H, W, C]; features [B, (N,) D]
  Tensor labels;  ///< i64 [B], of "masks" [B, H, W]; f32 [B, K] (each row sums to 1) where mixed,
                  ///< of "image-pairs" [B, H', W', C]
  int64_t index = 0;  ///< its number, from 0
  int64_t count = 0;  ///< rows that are not padding
};

struct TextBatch {
  Tensor ids;  ///< i64 [B, N], right-padded with LabelledDataset::padding(); N: the longest row's
  Tensor lengths;  ///< i64 [B], each >= 1
  Tensor labels;   ///< i64 [B]
  int64_t index = 0;
  int64_t count = 0;
};

/// Rows of padding have the label kIgnoreTarget; they occur in evaluation only.
using LabelledBatch = std::variant<ImageBatch, TextBatch>;

enum class Part { train, validation, test };
const char* name_of(Part part);

struct LabelledBatchOptions {
  int64_t batch = 8;  ///< rows of the global batch; a multiple of the ranks
  uint64_t seed = 0;  ///< of the order and of random transforms
  RowSlice slice;     ///< the rows of this rank
};

/// One row to make: which example, and what its random transforms are drawn by.
struct ExampleRow {
  int64_t example = 0;  ///< -1: padding
  RandomKey draw;
  bool augment = false;  ///< false: nothing random happens
};

class LabelledDataset {
 public:
  virtual ~LabelledDataset() = default;

  /// "images", "clips", "masks" (images with a class for each pixel), "image-pairs" (images and
  /// what shall become of them), "features" (vectors) or "texts".
  virtual const char* kind() const = 0;
  /// Examples of a part; 0 where there is none.
  virtual int64_t size(Part part) const = 0;
  virtual int64_t label(Part part, int64_t example) const = 0;
  /// [H, W, C] of every image in a batch, [T, H, W, C] of clips; [longest N] of texts; [D] or [N,
  /// D] of features.
  virtual Shape example_shape() const = 0;
  /// Image pairs only: [H', W', C] of every target in a training batch.
  virtual Shape target_shape() const { return {}; }
  /// Texts only: the tokenizer (null for images), and the id that pads.
  virtual const Tokenizer* tokenizer() const { return nullptr; }
  virtual int64_t padding() const { return 0; }
  /// How often an example comes in a row in training, transformed anew each time (Hoffer et al.,
  /// arXiv 1901.09335).
  virtual int64_t repeats() const { return 1; }
  /// Threads that may well make batches at once: several where examples take long to decode.
  virtual int workers() const { return 1; }

  int64_t classes() const { return static_cast<int64_t>(class_names_.size()); }
  const std::vector<std::string>& class_names() const { return class_names_; }
  /// One line: what was found, the parts' sizes.
  const std::string& summary() const { return summary_; }

  /// Training batch `index` >= 0 of an endless sequence: every example once an epoch, repeats()
  /// times in a row, in an order drawn by (seed, epoch), random transforms drawn by (seed, epoch,
  /// example, repeat). A batch may straddle two epochs. What a row holds does not depend on the
  /// number of ranks.
  LabelledBatch train_batch(int64_t index, const LabelledBatchOptions& options) const;
  /// Training batches that make one pass, rounded up.
  int64_t train_batches_per_epoch(int64_t batch) const;

  /// Batch `index` of a part in its order, without random transforms; the last one is filled up
  /// with padding, so that all have as many rows.
  LabelledBatch evaluation_batch(Part part, int64_t index,
                                 const LabelledBatchOptions& options) const;
  int64_t evaluation_batches(Part part, int64_t batch) const;

  /// The rows of a batch, one by one as asked for. Rows may come from different epochs.
  virtual LabelledBatch gather(Part part, std::span<const ExampleRow> rows) const = 0;

 protected:
  /// Rows [begin, end) of the global batch `all`. Datasets that mix rows override this.
  virtual LabelledBatch gather_training(std::span<const ExampleRow> all, int64_t begin, int64_t end,
                                        const RandomKey& batch_draw) const;

  std::vector<std::string> class_names_;
  std::string summary_;
};

/// Opens the `data:` section of a recipe, whose `type` names a dataset of the kind "images" or
/// "texts". RequestErrors carry the recipe's line.
std::unique_ptr<LabelledDataset> open_labelled_dataset(const Config& config);

}  // namespace heed::data
