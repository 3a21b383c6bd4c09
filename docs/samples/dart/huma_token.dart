// A client of the token endpoint of caddy-huma, for Flutter apps on Android and iOS, and for
// Dart 3. It needs only Dart's own libraries. dart:io does not exist in web apps: use the
// TypeScript sample there. Cookies are neither stored nor sent. docs/apps.md explains what it
// does.
//
// CI has no Dart compiler: this file was reviewed, but never compiled or run. If it does not
// compile, please open an issue.
//
//     // Create one for each user who signs in.
//     final huma = HumaTokenClient(
//       url: Uri.parse('https://app.example.com/private/huma-token'),
//       clientType: Platform.isIOS ? 'ios' : 'android',
//       accessToken: ({required renew}) => session.accessToken(renew: renew),
//     );
//     final token = await huma.token(); // when the app starts, and whenever the SDK asks
//     await huma.token(fresh: true); // when Huma has rejected the token
//     await huma.signOut(); // before the app deletes its own session

import 'dart:async';
import 'dart:convert';
import 'dart:io';
import 'dart:math';

/// What an app does about an error.
enum HumaTokenAction {
  /// The session is over: sign out of Huma's SDK, and show the sign-in page; if the user has
  /// just signed in, as [report].
  signIn,

  /// Ask the user to verify the email address of the account.
  verifyEmail,

  /// Tell the user that this account has no access.
  noAccess,

  /// Not available at the moment: the client has retried; offer to try again later.
  retry,

  /// A bug or a wrong config, which neither the user nor a retry can fix.
  report,
}

/// The error codes of the endpoint.
enum HumaTokenCode {
  identityMissing('identity_missing', HumaTokenAction.signIn),
  identityInvalid('identity_invalid', HumaTokenAction.signIn),
  identityAmbiguous('identity_ambiguous', HumaTokenAction.report),
  identityUntrusted('identity_untrusted', HumaTokenAction.report),
  emailUnverified('email_unverified', HumaTokenAction.verifyEmail),
  domainNotAllowed('domain_not_allowed', HumaTokenAction.noAccess),
  identityForbidden('identity_forbidden', HumaTokenAction.noAccess),
  notRegistered('not_registered', HumaTokenAction.noAccess),
  refused('refused', HumaTokenAction.noAccess),
  connectUnavailable('connect_unavailable', HumaTokenAction.noAccess),
  identityUnavailable('identity_unavailable', HumaTokenAction.retry),
  registrationLimited('registration_limited', HumaTokenAction.retry),
  overloaded('overloaded', HumaTokenAction.retry),
  upstreamUnavailable('upstream_unavailable', HumaTokenAction.retry),
  upstreamTimeout('upstream_timeout', HumaTokenAction.retry),
  internalError('internal_error', HumaTokenAction.retry),
  upstreamConfig('upstream_config', HumaTokenAction.report),
  upstreamRejected('upstream_rejected', HumaTokenAction.report),
  upstreamBadResponse('upstream_bad_response', HumaTokenAction.report),
  crossSite('cross_site', HumaTokenAction.report),
  clientTypeRequired('client_type_required', HumaTokenAction.report),
  clientTypeUnknown('client_type_unknown', HumaTokenAction.report),
  bodyInvalid('body_invalid', HumaTokenAction.report),
  methodNotAllowed('method_not_allowed', HumaTokenAction.report);

  const HumaTokenCode(this.code, this.action);

  final String code;
  final HumaTokenAction action;

  static HumaTokenCode? of(Object? code) {
    for (final known in values) {
      if (known.code == code) return known;
    }
    return null;
  }
}

class HumaTokenException implements Exception {
  const HumaTokenException(this.action, {this.status, this.code, this.retryAfter, this.detail});

  final HumaTokenAction action;

  /// The HTTP status; null if there was no response.
  final int? status;

  /// Null if the response has no code, or one that is not in [HumaTokenCode].
  final HumaTokenCode? code;

  /// The header Retry-After.
  final Duration? retryAfter;

  /// For developers: what is wrong, in English.
  final String? detail;

  @override
  String toString() => 'no Huma token: ${code?.code ?? status ?? 'no response'}';
}

/// A successful response. Keep it in memory, and never log it. The lifetimes are in seconds;
/// 0 is unknown.
class HumaToken {
  const HumaToken({
    required this.uid,
    required this.authToken,
    required this.authTokenExpiresIn,
    required this.refreshToken,
    required this.refreshTokenExpiresIn,
  });

  final String uid;
  final String authToken;
  final int authTokenExpiresIn;
  final String refreshToken;
  final int refreshTokenExpiresIn;

  @override
  String toString() => 'HumaToken(***)'; // for logs
}

/// Returns the access token for the header Authorization. renew is true if the endpoint has
/// rejected the previous one.
typedef AccessToken = Future<String> Function({required bool renew});

/// Requests tokens for one signed-in user. Create a new client for each user who signs in.
class HumaTokenClient {
  HumaTokenClient({
    required this.url,
    required this.clientType,
    required this.accessToken,
    this.timeout = const Duration(seconds: 15),
    this.retryDelay = const Duration(seconds: 5),
  });

  static const _maxAttempts = 3;
  static const _maxWait = Duration(seconds: 30); // if Retry-After is longer, there is no retry

  final Uri url;
  final String clientType;
  final AccessToken accessToken;

  /// The maximum duration of one request. The endpoint itself responds within 10 seconds.
  final Duration timeout;

  /// The wait before the first retry, if there is no Retry-After.
  final Duration retryDelay;

  final _random = Random();
  final _signedOut = Completer<void>();
  _Kept? _kept;
  _Flight? _flight;

  /// Returns the token that is kept in memory, or requests one. Concurrent calls share one
  /// request. With fresh, the endpoint bypasses its cache too: set it only if Huma has
  /// rejected the token. Throws a [HumaTokenException], or the error of [accessToken]. After
  /// [signOut], its action is [HumaTokenAction.signIn].
  Future<HumaToken> token({bool fresh = false}) async {
    if (_signedOut.isCompleted) throw const HumaTokenException(HumaTokenAction.signIn);
    final kept = _kept;
    if (!fresh && kept != null && kept.isUsable) return kept.token;
    final running = _flight;
    if (running != null && (running.fresh || !fresh)) return running.token;
    _kept = null; // it has expired, or Huma has rejected it
    final flight = _Flight(fresh);
    _flight = flight;
    flight.token = _fetch(flight).whenComplete(() {
      if (identical(_flight, flight)) _flight = null;
    });
    return flight.token;
  }

  /// Deletes the token here and in the endpoint's cache. Call it before the app deletes its
  /// own session. It returns whether the endpoint has confirmed the deletion, and never
  /// throws: the user can sign out without a connection, too. The client returns no token
  /// afterwards.
  Future<bool> signOut() async {
    if (!_signedOut.isCompleted) _signedOut.complete();
    _kept = null;
    try {
      final reply = await _send('DELETE');
      return reply?.status == HttpStatus.noContent;
    } catch (_) {
      return false; // there is no access token
    }
  }

  Future<HumaToken> _fetch(_Flight flight) async {
    for (var attempt = 1;; attempt++) {
      final sent = DateTime.now();
      final reply = await _send('GET', fresh: flight.fresh);
      if (_signedOut.isCompleted) throw const HumaTokenException(HumaTokenAction.signIn);
      final token = reply?.status == HttpStatus.ok ? _parse(reply?.body) : null;
      if (token != null) {
        if (identical(_flight, flight)) {
          // Otherwise, a fresh token has been requested meanwhile.
          _kept = _Kept(token, _usableUntil(sent, token));
        }
        return token;
      }
      final error = _toException(reply);
      if (error.action == HumaTokenAction.signIn) _kept = null; // the next user must not get it
      var wait = error.retryAfter ?? retryDelay * (1 << (attempt - 1));
      // The response to a fresh request is repeated for 5 seconds, so do not retry earlier.
      if (flight.fresh && wait < retryDelay) wait = retryDelay;
      if (error.action != HumaTokenAction.retry || attempt >= _maxAttempts || wait > _maxWait) {
        throw error;
      }
      // Up to half as long again, so that not all apps retry at the same moment.
      wait *= 1 + _random.nextDouble() / 2;
      await Future.any<void>([Future<void>.delayed(wait), _signedOut.future]);
      if (_signedOut.isCompleted) throw const HumaTokenException(HumaTokenAction.signIn);
    }
  }

  /// Makes one request, and repeats it with a renewed access token if that has expired.
  /// Returns null if there is no response in time. Throws only if [accessToken] does.
  Future<_Reply?> _send(String method, {bool fresh = false}) async {
    final reply = await _sendOnce(method, fresh, await accessToken(renew: false));
    if (_toException(reply).action != HumaTokenAction.signIn) return reply;
    return _sendOnce(method, fresh, await accessToken(renew: true));
  }

  Future<_Reply?> _sendOnce(String method, bool fresh, String accessToken) async {
    final isDelete = method == 'DELETE';
    if (_signedOut.isCompleted && !isDelete) return null;
    final http = HttpClient();
    try {
      return await Future.any<_Reply?>([
        _exchange(http, method, fresh, accessToken),
        if (!isDelete) _signedOut.future.then((_) => null),
      ]).timeout(timeout);
    } on IOException {
      return null;
    } on TimeoutException {
      return null;
    } finally {
      http.close(force: true); // ends a request that is still running
    }
  }

  Future<_Reply> _exchange(HttpClient http, String method, bool fresh, String accessToken) async {
    final query = {...url.queryParametersAll, 'client_type': clientType};
    final request = await http.openUrl(method, url.replace(queryParameters: query));
    request.followRedirects = false; // a login page is not a token
    request.contentLength = 0; // no body, also with DELETE
    request.headers.set(HttpHeaders.authorizationHeader, 'Bearer $accessToken');
    if (fresh) request.headers.set(HttpHeaders.cacheControlHeader, 'no-cache');
    final response = await request.close();
    final text = await const Utf8Decoder(allowMalformed: true).bind(response).join();
    Object? body;
    try {
      body = jsonDecode(text);
    } on FormatException {
      body = null;
    }
    final seconds = int.tryParse(response.headers.value(HttpHeaders.retryAfterHeader) ?? '');
    return _Reply(response.statusCode, seconds == null ? null : Duration(seconds: seconds), body);
  }

  static HumaToken? _parse(Object? body) {
    if (body
        case {
          'uid': final String uid,
          'authToken': final String authToken,
          'authTokenExpiresIn': final int authTokenExpiresIn,
          'refreshToken': final String refreshToken,
          'refreshTokenExpiresIn': final int refreshTokenExpiresIn,
        }) {
      return HumaToken(
        uid: uid,
        authToken: authToken,
        authTokenExpiresIn: authTokenExpiresIn,
        refreshToken: refreshToken,
        refreshTokenExpiresIn: refreshTokenExpiresIn,
      );
    }
    return null;
  }

  static HumaTokenException _toException(_Reply? reply) {
    if (reply == null) return const HumaTokenException(HumaTokenAction.retry);
    final body = reply.body;
    final problem = body is Map<String, dynamic> ? body : const <String, dynamic>{};
    final code = HumaTokenCode.of(problem['code']);
    final detail = problem['detail'];
    // Without a code, the response is that of an authentication layer or a proxy in front.
    final action = code?.action ??
        switch (reply.status) {
          401 => HumaTokenAction.signIn,
          403 => HumaTokenAction.noAccess,
          429 || 500 || 502 || 503 || 504 => HumaTokenAction.retry,
          _ => HumaTokenAction.report, // also a redirect, or a page with status 200
        };
    return HumaTokenException(
      action,
      status: reply.status,
      code: code,
      retryAfter: reply.retryAfter,
      detail: detail is String ? detail : null,
    );
  }

  /// Returns until when the app may use a token; null is without limit. The endpoint replaces
  /// tokens 30 seconds before they expire, or a tenth of their lifetime if that is less. A
  /// token with an unknown lifetime is used until Huma rejects it.
  static DateTime? _usableUntil(DateTime sent, HumaToken token) {
    final lifetime = token.authTokenExpiresIn;
    return lifetime <= 0 ? null : sent.add(Duration(seconds: lifetime - min(30, lifetime ~/ 10)));
  }
}

class _Kept {
  const _Kept(this.token, this.until);

  final HumaToken token;
  final DateTime? until;

  bool get isUsable {
    final until = this.until;
    return until == null || DateTime.now().isBefore(until);
  }
}

/// A request for a token with its retries, which concurrent calls share.
class _Flight {
  _Flight(this.fresh);

  final bool fresh;
  late final Future<HumaToken> token;
}

class _Reply {
  const _Reply(this.status, this.retryAfter, this.body);

  final int status;
  final Duration? retryAfter;
  final Object? body; // null if it is not JSON
}
