// Expressions of chat templates, from the loosest operator to the tightest.
#pragma once

#include <utility>
#include <vector>

#include "data/chat/syntax.h"
#include "data/chat/token_cursor.h"

namespace heed::data::chat {

class ExpressionParser : public TokenCursor {
 public:
  using TokenCursor::TokenCursor;

 protected:
  using Ex = Expression::Kind;

  static bool is_constant(const std::string& name);
  /// One expression, or several with commas between; `conditionals`: "a if b" may be one.
  ExpressionPointer parse_tuple(bool conditionals);
  ExpressionPointer parse_expression();

 private:
  ExpressionPointer make(Ex kind, const Token& at) const;
  void add(Expression& whole, ExpressionPointer part) const;
  template <class... Parts>
  ExpressionPointer make_of(Ex kind, const Token& at, Parts... parts) const;

  bool ends_tuple() const;
  ExpressionPointer parse_or();
  ExpressionPointer parse_and();
  ExpressionPointer parse_not();
  ExpressionPointer parse_comparison();
  ExpressionPointer parse_sum();
  ExpressionPointer parse_concat();
  ExpressionPointer parse_product();
  ExpressionPointer parse_unary(bool with_filters);
  ExpressionPointer parse_name();
  ExpressionPointer parse_string();
  ExpressionPointer parse_number();
  ExpressionPointer parse_list();
  ExpressionPointer parse_map();
  ExpressionPointer parse_primary();
  ExpressionPointer parse_postfix(ExpressionPointer value);
  ExpressionPointer parse_subscript(ExpressionPointer value, const Token& token);
  void parse_arguments(Expression& call);
  ExpressionPointer parse_filters(ExpressionPointer value);
  ExpressionPointer parse_test(ExpressionPointer value, const Token& token);
  /// A row of operators of equal rank, from the left.
  template <class Inner>
  ExpressionPointer parse_row(const std::vector<const char*>& signs, Inner&& inner);
};

}  // namespace heed::data::chat
