// A client of the token endpoint of caddy-huma, for iOS 15 or newer and Swift 5.7 or newer.
// It needs only Foundation. docs/apps.md explains what it does.
//
// CI has no Swift compiler: this file was reviewed, but never compiled or run. If it does not
// compile, please open an issue.
//
// With the build setting Default Actor Isolation = MainActor, as in new projects of Xcode 26,
// expect compiler errors: put this file into a package of its own, and make the types public.
//
// Cookies are neither stored nor sent.
//
//     // Create one for each user who signs in.
//     let url = URL(string: "https://app.example.com/private/huma-token")!
//     let huma = HumaTokenClient(url: url) { renew in
//         try await session.accessToken(renew: renew)
//     }
//     let token = try await huma.token()   // when the app starts, and whenever the SDK asks
//     try await huma.token(fresh: true)    // when Huma has rejected the token
//     await huma.signOut()                 // before the app deletes its own session

import Foundation

/// What an app does about an error.
enum HumaTokenAction {
    // The session is over: sign out of Huma's SDK, and show the sign-in page; if the user has
    // just signed in, as report.
    case signIn
    case verifyEmail  // ask the user to verify the email address of the account
    case noAccess  // tell the user that this account has no access
    case retry  // not available at the moment: the client has retried; offer to try again later
    case report  // a bug or a wrong config, which neither the user nor a retry can fix
}

/// The error codes of the endpoint.
enum HumaTokenCode: String {
    case identityMissing = "identity_missing"
    case identityInvalid = "identity_invalid"
    case identityAmbiguous = "identity_ambiguous"
    case identityUntrusted = "identity_untrusted"
    case emailUnverified = "email_unverified"
    case domainNotAllowed = "domain_not_allowed"
    case identityForbidden = "identity_forbidden"
    case notRegistered = "not_registered"
    case refused = "refused"
    case connectUnavailable = "connect_unavailable"
    case identityUnavailable = "identity_unavailable"
    case registrationLimited = "registration_limited"
    case overloaded = "overloaded"
    case upstreamUnavailable = "upstream_unavailable"
    case upstreamTimeout = "upstream_timeout"
    case internalError = "internal_error"
    case upstreamConfig = "upstream_config"
    case upstreamRejected = "upstream_rejected"
    case upstreamBadResponse = "upstream_bad_response"
    case crossSite = "cross_site"
    case clientTypeRequired = "client_type_required"
    case clientTypeUnknown = "client_type_unknown"
    case bodyInvalid = "body_invalid"
    case methodNotAllowed = "method_not_allowed"

    var action: HumaTokenAction {
        switch self {
        case .identityMissing, .identityInvalid:
            return .signIn
        case .identityAmbiguous, .identityUntrusted, .upstreamConfig, .upstreamRejected,
            .upstreamBadResponse, .crossSite, .clientTypeRequired, .clientTypeUnknown,
            .bodyInvalid, .methodNotAllowed:
            return .report
        case .emailUnverified:
            return .verifyEmail
        case .domainNotAllowed, .identityForbidden, .notRegistered, .refused,
            .connectUnavailable:
            return .noAccess
        case .identityUnavailable, .registrationLimited, .overloaded,
            .upstreamUnavailable, .upstreamTimeout, .internalError:
            return .retry
        }
    }
}

struct HumaTokenError: Error {
    let action: HumaTokenAction
    /// The HTTP status; nil if there was no response.
    var status: Int? = nil
    /// Nil if the response has no code, or one that is not in HumaTokenCode.
    var code: HumaTokenCode? = nil
    /// The header Retry-After in seconds.
    var retryAfter: TimeInterval? = nil
    /// For developers: what is wrong, in English.
    var detail: String? = nil
}

/// A successful response. Keep it in memory, and never log it. The lifetimes are in seconds;
/// 0 is unknown.
struct HumaToken: Decodable, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    let uid: String
    let authToken: String
    let authTokenExpiresIn: Int
    let refreshToken: String
    let refreshTokenExpiresIn: Int

    var description: String { "HumaToken(***)" }  // for logs
    var debugDescription: String { description }
}

/// Requests tokens for one signed-in user. Create a new client for each user who signs in.
actor HumaTokenClient {
    /// Returns the access token for the header Authorization. renew is true if the endpoint
    /// has rejected the previous one.
    typealias AccessToken = @Sendable (_ renew: Bool) async throws -> String

    private static let maxAttempts = 3
    private static let maxWait: TimeInterval = 30  // if Retry-After is longer, there is no retry

    /// A request for a token with its retries, which concurrent calls share.
    private struct Flight {
        let number: Int
        let fresh: Bool
        let task: Task<HumaToken, Error>
    }

    private struct Problem: Decodable {
        let code: String?
        let detail: String?
    }

    private typealias Reply = (response: HTTPURLResponse, data: Data)

    private let url: URL
    private let retryDelay: TimeInterval
    private let accessToken: AccessToken
    private let session: URLSession
    private let redirects = NoRedirects()
    private var signedOut = false
    private var kept: (token: HumaToken, until: Date)?
    private var flight: Flight?
    private var flights: [Int: Flight] = [:]  // also those that a fresh one has replaced
    private var lastNumber = 0

    /// - Parameters:
    ///   - timeout: seconds for one request. The endpoint itself responds within 10 seconds.
    ///   - retryDelay: seconds to wait before the first retry, if there is no Retry-After.
    init(
        url: URL, timeout: TimeInterval = 15, retryDelay: TimeInterval = 5,
        accessToken: @escaping AccessToken
    ) {
        var components = URLComponents(url: url, resolvingAgainstBaseURL: true)!
        components.queryItems =
            (components.queryItems ?? []) + [URLQueryItem(name: "client_type", value: "ios")]
        self.url = components.url!
        self.retryDelay = retryDelay
        self.accessToken = accessToken
        let configuration = URLSessionConfiguration.ephemeral  // stores nothing on the device
        configuration.timeoutIntervalForRequest = timeout
        configuration.timeoutIntervalForResource = timeout
        // Without a cache, and not with a reload policy, which sends Cache-Control: no-cache
        // with every request.
        configuration.urlCache = nil
        configuration.httpCookieStorage = nil
        configuration.httpShouldSetCookies = false
        session = URLSession(configuration: configuration)
    }

    deinit {
        session.finishTasksAndInvalidate()
    }

    /// Returns the token that is kept in memory, or requests one. Concurrent calls share one
    /// request. With fresh, the endpoint bypasses its cache too: set it only if Huma has
    /// rejected the token. Throws a HumaTokenError, or the error of accessToken. After signOut,
    /// its action is signIn.
    @discardableResult
    func token(fresh: Bool = false) async throws -> HumaToken {
        if signedOut {
            throw HumaTokenError(action: .signIn)
        }
        if !fresh, let kept = kept, Date() < kept.until {
            return kept.token
        }
        if let running = flight, running.fresh || !fresh {
            return try await running.task.value
        }
        return try await start(fresh: fresh).task.value
    }

    /// Deletes the token here and in the endpoint's cache. Call it before the app deletes its
    /// own session. It returns whether the endpoint has confirmed the deletion, and never
    /// throws: the user can sign out without a connection, too. The client returns no token
    /// afterwards.
    @discardableResult
    func signOut() async -> Bool {
        signedOut = true
        kept = nil
        flight = nil
        flights.values.forEach { $0.task.cancel() }
        return (try? await send("DELETE"))?.response.statusCode == 204
    }

    private func start(fresh: Bool) -> Flight {
        kept = nil  // it has expired, or Huma has rejected it
        lastNumber += 1
        let number = lastNumber
        let task = Task<HumaToken, Error> {
            defer {
                flights[number] = nil
                if flight?.number == number { flight = nil }
            }
            do {
                return try await fetch(number, fresh: fresh)
            } catch {
                if signedOut { throw HumaTokenError(action: .signIn) }
                throw error
            }
        }
        let started = Flight(number: number, fresh: fresh, task: task)
        flights[number] = started
        flight = started
        return started
    }

    private func fetch(_ number: Int, fresh: Bool) async throws -> HumaToken {
        var attempt = 0
        while true {
            attempt += 1
            let sent = Date()
            let reply = try await send("GET", fresh: fresh)
            if signedOut {
                throw HumaTokenError(action: .signIn)
            }
            if let reply = reply, reply.response.statusCode == 200,
                let token = try? JSONDecoder().decode(HumaToken.self, from: reply.data)
            {
                if flight?.number == number {  // else a fresh token has been requested meanwhile
                    kept = (token, Self.usableUntil(sent, lifetime: TimeInterval(token.authTokenExpiresIn)))
                }
                return token
            }
            let error = Self.error(of: reply)
            if error.action == .signIn {
                kept = nil  // the next user must not get it
            }
            // The response to a fresh request is repeated for 5 seconds, so do not retry earlier.
            let least = fresh ? retryDelay : 0
            let wait = max(least, error.retryAfter ?? retryDelay * pow(2, Double(attempt - 1)))
            guard error.action == .retry, attempt < Self.maxAttempts, wait <= Self.maxWait else {
                throw error
            }
            // Up to half as long again, so that not all apps retry at the same moment.
            let nanoseconds = UInt64(wait * Double.random(in: 1...1.5) * 1_000_000_000)
            try await Task.sleep(nanoseconds: nanoseconds)  // throws if the user signs out
        }
    }

    /// Makes one request, and repeats it with a renewed access token if that has expired.
    /// Returns nil if there is no response in time. Throws only if accessToken does.
    private func send(_ method: String, fresh: Bool = false) async throws -> Reply? {
        let reply = await sendOnce(method, accessToken: try await accessToken(false), fresh: fresh)
        guard Self.error(of: reply).action == .signIn else { return reply }
        return await sendOnce(method, accessToken: try await accessToken(true), fresh: fresh)
    }

    private func sendOnce(_ method: String, accessToken: String, fresh: Bool) async -> Reply? {
        var request = URLRequest(url: url)
        request.httpMethod = method
        request.setValue("Bearer \(accessToken)", forHTTPHeaderField: "Authorization")
        if fresh {
            request.setValue("no-cache", forHTTPHeaderField: "Cache-Control")
        }
        if Task.isCancelled {
            return nil  // the user has signed out
        }
        guard let (data, response) = try? await session.data(for: request, delegate: redirects),
            let http = response as? HTTPURLResponse
        else { return nil }
        return (http, data)
    }

    private static func error(of reply: Reply?) -> HumaTokenError {
        guard let reply = reply else { return HumaTokenError(action: .retry) }
        let problem = try? JSONDecoder().decode(Problem.self, from: reply.data)
        let code = problem?.code.flatMap { HumaTokenCode(rawValue: $0) }
        let status = reply.response.statusCode
        return HumaTokenError(
            action: code?.action ?? actionWithoutCode(status), status: status, code: code,
            retryAfter: reply.response.value(forHTTPHeaderField: "Retry-After").flatMap { TimeInterval($0) },
            detail: problem?.detail)
    }

    /// The action for a response of an authentication layer or a proxy in front, or for a code
    /// that is not in HumaTokenCode.
    private static func actionWithoutCode(_ status: Int) -> HumaTokenAction {
        switch status {
        case 401: return .signIn
        case 403: return .noAccess
        case 429, 500, 502, 503, 504: return .retry
        default: return .report  // also a redirect, or a page with status 200
        }
    }

    /// Returns until when the app may use a token. The endpoint replaces tokens 30 seconds
    /// before they expire, or a tenth of their lifetime if that is less. A token with an
    /// unknown lifetime is used until Huma rejects it.
    private static func usableUntil(_ sent: Date, lifetime: TimeInterval) -> Date {
        lifetime <= 0 ? .distantFuture : sent.addingTimeInterval(lifetime - min(30, lifetime / 10))
    }
}

/// Refuses redirects: a login page is not a token.
private final class NoRedirects: NSObject, URLSessionTaskDelegate {
    func urlSession(
        _ session: URLSession, task: URLSessionTask,
        willPerformHTTPRedirection response: HTTPURLResponse, newRequest request: URLRequest
    ) async -> URLRequest? {
        nil
    }
}
