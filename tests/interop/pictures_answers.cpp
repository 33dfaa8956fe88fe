// The C++ half of tests/interop/pictures_check.py.
#include <gtest/gtest.h>

#include "core/files.h"
#include "core/npy.h"
#include "data/image_processor.h"
#include "tests/interop/folder.h"

namespace heed::data {
namespace {

// pictures.json: [{"file": picture, "config": preprocessor_config.json's content, "shape": [H, W,
// C], "out": where the values go, as .npy}, ...].
TEST(PicturesInterop, ProcessesWhatItIsAsked) {
  const Config cases = read_json_file(interop::folder() + "/pictures.json");
  for (const Config& entry : cases.as_list()) {
    Shape shape;
    for (const Config& extent : entry.at("shape").as_list()) shape.push_back(extent.as_integer());
    const std::string& file = entry.at("file").as_string();
    const MappedFile bytes(file);
    write_npy(entry.at("out").as_string(),
              ImageProcessor(entry.at("config"), shape).read(bytes.bytes(), file));
  }
}

}  // namespace
}  // namespace heed::data
