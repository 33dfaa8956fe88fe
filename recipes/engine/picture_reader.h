// What generation asks of a task whose model reads pictures.
#pragma once

#include <string>

#include "recipes/engine/generate.h"

namespace heed::recipes {

class PictureReader {
 public:
  virtual ~PictureReader() = default;

  /// Goes on after `prompt` about a picture's file, which stands where the prompt says "<image>",
  /// or else in front of it. `assets` is the checkpoint's folder. A RequestError for a file that
  /// cannot be read, and for a model that reads no images.
  virtual Generated generate_about(const std::string& image, const std::string& assets,
                                   const std::string& prompt, const GenerateOptions& options,
                                   const TokenCallback& on_token) = 0;
};

}  // namespace heed::recipes
