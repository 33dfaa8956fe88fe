// Errors: every failure is an exception that says what was asked, and which rule was broken.
//
//   Error         the work failed                        (the command exits with 1)
//   RequestError  the request was wrong: a recipe, a file, a flag, a shape asked for
//                                                         (the command exits with 2)
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace heed {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class RequestError : public Error {
 public:
  using Error::Error;
};

/// Where in a text something stands; line and column count from 1, 0 means "not known".
struct SourceLocation {
  std::string file;
  int line = 0;
  int column = 0;

  /// "file:line:column", leaving out what is not known; empty when there is no file.
  std::string to_string() const;
};

/// Throws RequestError with "file:line:column: message" (or the message alone without a location).
[[noreturn]] void fail_request(const SourceLocation& where, const std::string& message);

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
[[noreturn]] void fail_request(fmt::format_string<Args...> format, Args&&... args) {
  throw RequestError(fmt::format(format, std::forward<Args>(args)...));
}

/// The candidate nearest to `word` by edit distance, or "" when none is near enough to suggest.
template <class Strings>
std::string nearest(const std::string& word, const Strings& candidates);

/// Edit distance with transpositions, for "did you mean".
int edit_distance(const std::string& a, const std::string& b);

template <class Strings>
std::string nearest(const std::string& word, const Strings& candidates) {
  std::string best;
  int best_distance = static_cast<int>(word.size()) / 3 + 2;
  for (const std::string& candidate : candidates) {
    const int distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

/// " (did you mean 'x'?)" or nothing.
template <class Strings>
std::string did_you_mean(const std::string& word, const Strings& candidates) {
  const std::string best = nearest(word, candidates);
  return best.empty() ? "" : " (did you mean '" + best + "'?)";
}

}  // namespace heed

/// Throws heed::Error with the formatted message unless the condition holds.
#define HEED_CHECK(condition, ...)   \
  do {                               \
    if (!(condition)) [[unlikely]] { \
      ::heed::fail(__VA_ARGS__);     \
    }                                \
  } while (false)
