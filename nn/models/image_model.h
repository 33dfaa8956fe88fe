// Images (or clips) to images: what the tasks of segmentation and of denoising ask of a model,
// whichever it is.
#pragma once

#include <memory>

#include "core/config.h"
#include "nn/module.h"

namespace heed::nn {

/// What goes in and comes out; 0 where it is not known (yet), or not there.
struct ImageGeometry {
  int64_t frames = 0;  ///< of a clip; 0: images
  int64_t height = 0, width = 0, channels = 0;
  int64_t outputs = 0;  ///< channels of the result
  int64_t classes = 0;  ///< labels that the result depends on
  int64_t scale = 0;    ///< the result's sides over the input's (super-resolution)
  bool timed = false;   ///< the result depends on a time
};

class ImageModel : public Module {
 public:
  virtual ImageGeometry geometry() const = 0;
  /// Whether forward takes times (a denoiser), or must be given none.
  bool timed() const { return geometry().timed; }
  /// Whether labels may be left out though there are classes.
  virtual bool unconditional() const = 0;
  /// The whole configuration, `type` first, defaults filled in: make_image_model of it gives the
  /// same model.
  virtual Config config() const = 0;

  /// x [B, (T,) H, W, channels], times [B] (floating, in [0, 1000]), labels [B] (i64) -> [B, (T,)
  /// H, W, outputs], H and W times the geometry's scale where it has one. Labels left undefined
  /// stand for none.
  virtual Tensor forward(const Tensor& x, const Tensor& times, const Tensor& labels) = 0;
  Tensor forward(const Tensor& x) { return forward(x, Tensor(), Tensor()); }

  /// Forward floating-point operations of one example of the full size (a multiply-add counts as
  /// two). A training step costs three times that.
  virtual double flops() const = 0;
};

/// The model that config's `type` names, not yet initialised. The data's geometry stands in where
/// the config leaves a key (`frames`, `height`, `width`, `channels`, `outputs`, `classes`, `scale`,
/// `time`) out or has 0; a RequestError where both have a number and they differ (`classes` may be
/// more).
std::unique_ptr<ImageModel> make_image_model(const Config& config, const ImageGeometry& data = {});

/// Whether the model that config's `type` names has the option `scale`: it makes a large image of a
/// small one. Of the others, input and result have one size.
bool enlarges(const Config& config);

}  // namespace heed::nn
