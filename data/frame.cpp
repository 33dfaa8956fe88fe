#include "data/frame.h"

#include <algorithm>

namespace heed::data {
namespace {

auto place_of_text(const std::vector<Frame::Part>& parts) {
  return std::find_if(parts.begin(), parts.end(),
                      [](const auto& part) { return part.kind == Frame::Part::Kind::first; });
}

}  // namespace

Frame::Frame(const std::vector<TokenId>& start) {
  if (start.empty()) return;
  for (const TokenId id : start) single.push_back({Part::Kind::token, id, 0});
  pair = single;
  single.push_back({Part::Kind::first, 0, 0});
  pair.push_back({Part::Kind::first, 0, 0});
  pair.push_back({Part::Kind::second, 0, 1});
}

std::vector<TokenId> Frame::start() const {
  std::vector<TokenId> ids;
  for (auto part = single.begin(); part != place_of_text(single); ++part) ids.push_back(part->id);
  return ids;
}

std::vector<TokenId> Frame::finish() const {
  std::vector<TokenId> ids;
  auto part = place_of_text(single);
  if (part == single.end()) return ids;
  for (++part; part != single.end(); ++part) ids.push_back(part->id);
  return ids;
}

}  // namespace heed::data
