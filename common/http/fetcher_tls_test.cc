// Over TLS a server must prove who it is before it sees a byte of the request.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "common/http/fetcher_fixture.h"

namespace weir {
namespace {

// A key and a certificate signed by itself for `name` ("IP:127.0.0.1").
struct Identity {
  explicit Identity(const char* name)
      : key(EVP_EC_gen("P-256"), EVP_PKEY_free), certificate(X509_new(), X509_free) {
    X509* const x509 = certificate.get();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key.get());
    X509_NAME* const subject = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("weir"),
                               -1, -1, 0);
    X509_set_issuer_name(x509, subject);
    X509_EXTENSION* const names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, name);
    X509_add_ext(x509, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(x509, key.get(), EVP_sha256());
  }
  // The certificate as a PEM file, which a client may trust.
  void WriteTo(const std::string& path) const {
    FILE* const file = std::fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr);
    PEM_write_X509(file, certificate.get());
    std::fclose(file);
  }

  std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key;
  std::unique_ptr<X509, void (*)(X509*)> certificate;
};

class TlsFetcherTest : public FetcherTest {
 protected:
  void ServeTls(const Identity& identity) {
    context_.reset(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_use_certificate(context_.get(), identity.certificate.get());
    SSL_CTX_use_PrivateKey(context_.get(), identity.key.get());
    Serve([this](ScriptServer::Connection& connection) {
      const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context_.get()), SSL_free);
      SSL_set_fd(ssl.get(), connection.Fd());
      if (SSL_accept(ssl.get()) != 1) return;
      char request[4096];
      if (SSL_read(ssl.get(), request, sizeof request) <= 0) return;
      ++requests_;
      constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
      SSL_write(ssl.get(), kAnswer.data(), static_cast<int>(kAnswer.size()));
      SSL_shutdown(ssl.get());
    });
    options_.base_url = "https://127.0.0.1:" + std::to_string(server_->Port());
  }
  void Trust(const Identity& identity) {
    options_.ca_file = testing::TempDir() + "weir-tls-test-" + std::to_string(getpid()) + ".pem";
    identity.WriteTo(options_.ca_file);
  }
  void TearDown() override {
    fetcher_.reset();
    server_.reset();
    if (!options_.ca_file.empty()) unlink(options_.ca_file.c_str());
  }
  void ExpectRefused() {
    Fetcher fetcher(options_, clock_);
    const Result<HttpResponseHead> result =
        fetcher.Fetch({"GET", "/x", {}, ""}, {{"Authorization", Secret("Bearer s")}}, sink_, abort_);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().error_class, ErrorClass::kTransient);
    EXPECT_NE(result.error().hint.find("certificate"), std::string::npos) << result.error().message;
    EXPECT_EQ(requests_, 0);
  }

  std::atomic<int> requests_{0};
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_{nullptr, SSL_CTX_free};
};

TEST_F(TlsFetcherTest, AsksATrustedServer) {
  const Identity identity("IP:127.0.0.1");
  Trust(identity);
  ServeTls(identity);
  Fetcher fetcher(options_, clock_);
  const Result<HttpResponseHead> head = fetcher.Fetch({"GET", "/x", {}, ""}, {}, sink_, abort_);
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(sink_.body, "ok");
  EXPECT_EQ(requests_, 1);
}

TEST_F(TlsFetcherTest, ARefusalSaysWhoseAuthoritiesWereAsked) {
  ServeTls(Identity("IP:127.0.0.1"));
  const auto hint = [&] {
    return Fetcher(options_, clock_).Fetch({"GET", "/x", {}, ""}, {}, sink_, abort_).error().hint;
  };
  EXPECT_NE(hint().find("ca-certificates"), std::string::npos) << hint();
  EXPECT_NE(hint().find("http.ca_file"), std::string::npos) << hint();
  Trust(Identity("DNS:lichess.example"));
  EXPECT_NE(hint().find(options_.ca_file), std::string::npos) << hint();
  unlink(options_.ca_file.c_str());
  EXPECT_NE(hint().find(options_.ca_file + " cannot be read"), std::string::npos) << hint();
}

TEST_F(TlsFetcherTest, AClosedPeerCannotKillTheProcess) {
  const Fetcher fetcher({}, clock_);
  struct sigaction now {};
  ASSERT_EQ(sigaction(SIGPIPE, nullptr, &now), 0);
  EXPECT_EQ(now.sa_handler, SIG_IGN);
}

TEST_F(TlsFetcherTest, RefusesAnUnknownCertificate) {
  ServeTls(Identity("IP:127.0.0.1"));
  ExpectRefused();
}

TEST_F(TlsFetcherTest, RefusesACertificateOfAnotherHost) {
  const Identity identity("DNS:lichess.example");
  Trust(identity);
  ServeTls(identity);
  ExpectRefused();
}

}  // namespace
}  // namespace weir
