// A walk along a template's tokens.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/chat/lexer.h"

namespace heed::data::chat {

/// Levels of a template's tree.
inline constexpr int kMostNesting = 100;

class TokenCursor {
 public:
  using Kind = Token::Kind;

  /// Of the template `name`.
  TokenCursor(const std::string& source, const std::string& name)
      : name_(name), tokens_(tokenize(source, name)) {}

 protected:
  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& next() {
    const Token& token = now();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  [[noreturn]] void fail_at(const Token& token, const std::string& message) const {
    fail_request(SourceLocation{name_, token.line, token.column}, "chat template: " + message);
  }
  static std::string spelled(const Token& token) {
    switch (token.kind) {
      case Kind::end:
        return "the end of the template";
      case Kind::block_end:
        return "'%}'";
      case Kind::variable_end:
        return "'}}'";
      case Kind::string:
        return "a string";
      default:
        return fmt::format("'{}'", token.text);
    }
  }
  bool is_sign(const char* text) const { return now().is(Kind::sign, text); }
  bool is_name(const char* text) const { return now().is(Kind::name, text); }
  bool skip_sign(const char* text) {
    if (!is_sign(text)) return false;
    next();
    return true;
  }
  bool skip_name(const char* text) {
    if (!is_name(text)) return false;
    next();
    return true;
  }
  void expect_sign(const char* text) {
    if (!skip_sign(text))
      fail_at(now(), fmt::format("expected '{}', not {}", text, spelled(now())));
  }
  void expect_name(const char* text) {
    if (!skip_name(text))
      fail_at(now(), fmt::format("expected '{}', not {}", text, spelled(now())));
  }
  std::string expect_any_name() {
    if (now().kind != Kind::name)
      fail_at(now(), fmt::format("expected a name, not {}", spelled(now())));
    return next().text;
  }
  void expect_block_end() {
    if (now().kind != Kind::block_end) {
      fail_at(now(), fmt::format("expected '%}}', not {}", spelled(now())));
    }
    next();
  }

  // Every level of the text's nesting is a level of this parser's, and of whoever walks the tree.
  class Level {
   public:
    explicit Level(TokenCursor& cursor) : cursor_(cursor) {
      if (++cursor_.level_ > kMostNesting) {
        cursor_.fail_at(cursor_.now(), fmt::format("nested more than {} deep", kMostNesting));
      }
    }
    ~Level() { --cursor_.level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    TokenCursor& cursor_;
  };

  const std::string& name() const { return name_; }

 private:
  const std::string& name_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int level_ = 0;
};

}  // namespace heed::data::chat
