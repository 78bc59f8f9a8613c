#include "worker/copy_binary.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

#include "common/pg/session.h"
#include "tests/support/postgres/test_postgres.h"
#include "worker/copy_text.h"

namespace weir::worker {
namespace {

// The server is the judge: what it stores of the binary rows is what it stores of the same rows as text.
class CopyBinaryTest : public ::testing::Test {
 protected:
  CopyBinaryTest() {
    EXPECT_TRUE(session_.Script(
        "create table fence (id int); insert into fence values (1); "
        "create table b (account text, id text, at timestamptz, n integer, big bigint, ok boolean, ratio "
        "double precision, "
        "amount numeric, tags jsonb, raw jsonb, content_hash bigint); create table t (like b)"));
  }

  void Copy(const std::string& table, const std::string& options, const std::string& rows) {
    auto sent = session_.SubmitFenced(
        "begin; update fence set id = id; copy " + table + " from stdin" + options + "; commit", rows);
    if (sent) sent = session_.Await();
    ASSERT_TRUE(sent) << sent.error().message;
  }

  template <typename Fill>
  void CopyBoth(Fill fill) {
    std::string binary, text;
    CopyBinary b(&binary, &types_);
    CopyText t(&text);
    for (CopyFormat* out : std::initializer_list<CopyFormat*>{&b, &t}) {
      out->Begin();
      fill(*out);
      out->End();
    }
    Copy("b", " (format binary)", binary);
    Copy("t", "", text);
  }

  void ExpectEqual(const std::string& rows) {
    auto same = session_.Exec(
        "select (select count(*) from b), count(*), (select string_agg(amount::text, ' ' order by id) from "
        "b), "
        "(select string_agg(amount::text, ' ' order by id) from t) from "
        "(select to_jsonb(b) from b except all select to_jsonb(t) from t) x");
    ASSERT_TRUE(same) << same.error().message;
    EXPECT_EQ(same->Text(0, 0), rows);
    EXPECT_EQ(same->Text(0, 1), "0");
    // Scale and all, which a comparison of values does not see.
    EXPECT_EQ(same->Text(0, 2), same->Text(0, 3));
  }

  testing::TestPostgres database_;
  pg::Session session_{database_.Options()};
  std::vector<WireType> types_ = WireTypesOf({"",
                                              "",
                                              {{"at", "timestamptz"},
                                               {"n", "integer"},
                                               {"big", "bigint"},
                                               {"ok", "boolean"},
                                               {"ratio", "double precision"},
                                               {"amount", "numeric"},
                                               {"tags", "jsonb"}}});
};

void Row(CopyFormat& out, const std::string& id, const std::string& number) {
  out.BeginRow();
  out.Text("acc\tount\\");
  out.Text(id);
  out.Timestamp(-62'135'596'800'000 + 1);
  out.Int(-2'147'483'648);
  out.Int(9'223'372'036'854'775'807);
  out.Bool(id.size() % 2 == 0);
  out.Number("-1.5e-7");
  out.Number(number);
  out.Text(R"(["a", {"b": "\n\u00e9"}])");
  out.Text(R"({"k": 1e3})");
  out.Int(-1);
  out.EndRow();
}

TEST_F(CopyBinaryTest, StoresWhatTheSameRowsAsTextStore) {
  CopyBoth([](CopyFormat& out) {
    int i = 10;
    for (const char* number : {"0",
                               "-0",
                               "0.00",
                               "1",
                               "-1",
                               "10",
                               "9999",
                               "10000",
                               "10001",
                               "99990000",
                               "123456789.987654321",
                               "0.1",
                               "0.0001",
                               "0.00001",
                               "-0.000012345",
                               "1e0",
                               "1E5",
                               "1.50e3",
                               "12e-3",
                               "1e-20",
                               "5e100",
                               "100000000000000000000",
                               "123456789012345678901234567890",
                               "0.000000000000000000000000000001",
                               "12345.67800",
                               "-98765e-2",
                               "1e+4"})
      Row(out, std::to_string(++i), number);
  });
  ExpectEqual("27");
}

// JSON numbers as an upstream may write them: signs, zeros in front of and behind, exponents, scales far
// beyond what RecordCheck lets through (1,000 digits), up to numeric's own.
std::string RandomNumber(std::mt19937& random) {
  const auto upto = [&](int n) { return std::uniform_int_distribution<int>(0, n)(random); };
  const auto digits = [&](int count) {
    std::string text;
    const bool sparse = upto(2) == 0;
    for (int i = 0; i < count; ++i) text += static_cast<char>('0' + (sparse && upto(5) > 0 ? 0 : upto(9)));
    return text;
  };
  const int longest = upto(9) == 0 ? 900 : 30;
  std::string text = upto(1) == 0 ? "-" : "";
  text += upto(3) == 0 ? "0" : std::to_string(1 + upto(8)) + digits(upto(longest));
  if (upto(1) == 0)
    text += "." + digits(1 + upto(longest)) + std::string(static_cast<std::size_t>(upto(5)), '0');
  if (upto(1) == 0) {
    text += upto(1) == 0 ? "e" : "E";
    text += std::array<const char*, 3>{"", "+", "-"}.at(static_cast<std::size_t>(upto(2)));
    text += std::string(static_cast<std::size_t>(upto(2)), '0') +
            std::to_string(upto(upto(4) == 0 ? 15'000 : 40));
  }
  return text;
}

class CopyBinaryNumericTest : public CopyBinaryTest, public ::testing::WithParamInterface<unsigned> {};

// The server's own reading of the literal is the model.
TEST_P(CopyBinaryNumericTest, ANumericIsWhatTheServerReadsInItsLiteral) {
  std::mt19937 random(GetParam());
  constexpr int kNumbers = 1'500;
  std::string rows;
  CopyBinary out(&rows, &types_);
  out.Begin();
  for (int i = 0; i < kNumbers; ++i) {
    const std::string literal = RandomNumber(random);
    Row(out, literal, literal);
  }
  out.End();
  Copy("b", " (format binary)", rows);
  auto wrong = session_.Exec(
      "select count(*), count(*) filter (where amount::text is distinct from id::numeric::text), "
      "min(id) filter (where amount::text is distinct from id::numeric::text) from b");
  ASSERT_TRUE(wrong) << wrong.error().message;
  EXPECT_EQ(wrong->Int(0, 0), kNumbers);
  EXPECT_EQ(wrong->Int(0, 1), 0) << "seed " << GetParam() << ", for example " << wrong->Text(0, 2);
}

INSTANTIATE_TEST_SUITE_P(Seeds, CopyBinaryNumericTest, ::testing::Range(1U, 5U));

TEST_F(CopyBinaryTest, NullsAreNull) {
  CopyBoth([](CopyFormat& out) {
    out.BeginRow();
    out.Text("");
    out.Text("id");
    for (int i = 0; i < 7; ++i) out.Null();
    out.Text("{}");
    out.Int(0);
    out.EndRow();
  });
  ExpectEqual("1");
}

}  // namespace
}  // namespace weir::worker
