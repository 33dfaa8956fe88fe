#include "data/image_grid.h"

#include <algorithm>

#include "core/error.h"

namespace heed::data {

ByteImage image_grid(const std::vector<Image>& images, int64_t columns, int64_t enlarge) {
  HEED_CHECK(!images.empty() && columns >= 1 && enlarge >= 1,
             "image_grid: {} images, {} columns, enlarged {} times", images.size(), columns,
             enlarge);
  const Image& first = images.front();
  const auto count = static_cast<int64_t>(images.size());
  const int64_t across = std::min(columns, count), down = (count + across - 1) / across;
  const int64_t height = first.height * enlarge + 1, width = first.width * enlarge + 1;
  ByteImage grid(down * height - 1, across * width - 1, first.channels, 255);
  for (int64_t n = 0; n < count; ++n) {
    const Image& image = images[static_cast<size_t>(n)];
    HEED_CHECK(image.height == first.height && image.width == first.width &&
                   image.channels == first.channels,
               "image_grid: image {} is {} x {} x {}, the first {} x {} x {}", n, image.height,
               image.width, image.channels, first.height, first.width, first.channels);
    const ByteImage bytes = to_bytes(image);
    for (int64_t y = 0; y < first.height * enlarge; ++y) {
      for (int64_t x = 0; x < first.width * enlarge; ++x) {
        std::copy_n(bytes.at(y / enlarge, x / enlarge), first.channels,
                    grid.at(n / across * height + y, n % across * width + x));
      }
    }
  }
  return grid;
}

int64_t enlargement(int64_t size) {
  constexpr int64_t kVisible = 64;
  return std::max<int64_t>(1, (kVisible + size - 1) / size);
}

}  // namespace heed::data
