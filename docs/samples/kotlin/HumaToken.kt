// A client of the token endpoint of caddy-huma, for Android. It needs only the platform:
// HttpURLConnection, and org.json, which is part of Android. docs/apps.md explains what it
// does.
//
//     // Create one for each user who signs in.
//     val huma = HumaTokenClient("https://app.example.com/private/huma-token") { renew ->
//         session.accessToken(renew)
//     }
//     val token = huma.token()   // when the app starts, and whenever the SDK asks
//     huma.token(fresh = true)   // when Huma has rejected the token
//     huma.signOut()             // before the app deletes its own session
//
// All calls block: never call them on the main thread. In a coroutine, use
// withContext(Dispatchers.IO) { huma.token() }.
//
// Cookies are not supported. If the app has called CookieHandler.setDefault, these requests
// have its cookies too.

package com.example.huma

import java.io.IOException
import java.net.HttpURLConnection
import java.net.URL
import java.util.concurrent.Callable
import java.util.concurrent.CancellationException
import java.util.concurrent.ExecutionException
import java.util.concurrent.Executors
import java.util.concurrent.Future
import java.util.concurrent.TimeUnit
import java.util.concurrent.TimeoutException
import kotlin.random.Random
import org.json.JSONException
import org.json.JSONObject

/** What an app does about an error. */
enum class Action {
    SIGN_IN, // the session is over: sign out of Huma's SDK, and show the sign-in page; if the
    // user has just signed in, as REPORT
    VERIFY_EMAIL, // ask the user to verify the email address of the account
    NO_ACCESS, // tell the user that this account has no access
    RETRY, // not available at the moment: the client has retried; offer to try again later
    REPORT, // a bug or a wrong config, which neither the user nor a retry can fix
}

/** The error codes of the endpoint: the names in lower case. */
enum class Code(val action: Action) {
    IDENTITY_MISSING(Action.SIGN_IN),
    IDENTITY_INVALID(Action.SIGN_IN),
    IDENTITY_AMBIGUOUS(Action.REPORT),
    IDENTITY_UNTRUSTED(Action.REPORT),
    EMAIL_UNVERIFIED(Action.VERIFY_EMAIL),
    DOMAIN_NOT_ALLOWED(Action.NO_ACCESS),
    IDENTITY_FORBIDDEN(Action.NO_ACCESS),
    NOT_REGISTERED(Action.NO_ACCESS),
    REFUSED(Action.NO_ACCESS),
    CONNECT_UNAVAILABLE(Action.NO_ACCESS),
    IDENTITY_UNAVAILABLE(Action.RETRY),
    REGISTRATION_LIMITED(Action.RETRY),
    OVERLOADED(Action.RETRY),
    UPSTREAM_UNAVAILABLE(Action.RETRY),
    UPSTREAM_TIMEOUT(Action.RETRY),
    INTERNAL_ERROR(Action.RETRY),
    UPSTREAM_CONFIG(Action.REPORT),
    UPSTREAM_REJECTED(Action.REPORT),
    UPSTREAM_BAD_RESPONSE(Action.REPORT),
    CROSS_SITE(Action.REPORT),
    CLIENT_TYPE_REQUIRED(Action.REPORT),
    CLIENT_TYPE_UNKNOWN(Action.REPORT),
    BODY_INVALID(Action.REPORT),
    METHOD_NOT_ALLOWED(Action.REPORT);

    companion object {
        fun of(code: String): Code? = entries.find { it.name.lowercase() == code }
    }
}

/**
 * No token.
 *
 * @property status the HTTP status, or null if there was no response
 * @property code null if the response has no code, or one that is not in [Code]
 * @property retryAfter the header Retry-After in seconds
 * @property detail for developers: what is wrong, in English
 */
class HumaTokenException(
    val action: Action,
    val status: Int? = null,
    val code: Code? = null,
    val retryAfter: Long? = null,
    val detail: String? = null,
) : IOException("no Huma token: ${code?.name?.lowercase() ?: status ?: "no response"}")

/**
 * A successful response. Keep it in memory, and never log it. The lifetimes are in seconds;
 * 0 is unknown.
 */
class HumaToken(
    val uid: String,
    val authToken: String,
    val authTokenExpiresIn: Long,
    val refreshToken: String,
    val refreshTokenExpiresIn: Long,
) {
    override fun toString() = "HumaToken(***)" // for logs
}

/**
 * Requests tokens for one signed-in user. Create a new client for each user who signs in. All
 * methods are safe for concurrent use.
 *
 * @param accessToken returns the access token for the header Authorization. renew is true if
 *   the endpoint has rejected the previous one. signOut interrupts it
 * @param timeoutMillis limits one request. The endpoint itself responds within 10 seconds
 * @param retryDelayMillis the wait before the first retry, if there is no Retry-After
 */
class HumaTokenClient(
    private val url: String,
    private val timeoutMillis: Long = 15_000,
    private val retryDelayMillis: Long = 5_000,
    private val accessToken: (renew: Boolean) -> String,
) {
    private class Kept(val token: HumaToken, val until: Long)

    /** A request for a token with its retries, which concurrent calls share. */
    private class Flight(val fresh: Boolean) {
        lateinit var token: Future<HumaToken>
    }

    private class Reply(val status: Int, val retryAfter: Long?, val body: JSONObject?)

    private val threads = Executors.newCachedThreadPool {
        Thread(it, "huma-token").apply { isDaemon = true }
    }
    private val lock = Any()
    private var signedOut = false
    private var kept: Kept? = null
    private var flight: Flight? = null
    private val flights = mutableSetOf<Flight>() // also those that a fresh one has replaced

    /**
     * Returns the token that is kept in memory, or requests one. Concurrent calls share one
     * request. With fresh, the endpoint bypasses its cache too: set it only if Huma has
     * rejected the token. An exception of accessToken is thrown as it is. After signOut, the
     * action is SIGN_IN.
     */
    @Throws(HumaTokenException::class)
    fun token(fresh: Boolean = false): HumaToken {
        val current = synchronized(lock) {
            if (signedOut) throw HumaTokenException(Action.SIGN_IN)
            kept?.let { if (!fresh && System.currentTimeMillis() < it.until) return it.token }
            flight?.takeIf { it.fresh || !fresh } ?: start(Flight(fresh))
        }
        try {
            return current.token.get()
        } catch (_: CancellationException) { // by signOut
            throw HumaTokenException(Action.SIGN_IN)
        } catch (e: ExecutionException) {
            throw e.cause ?: e
        }
    }

    /**
     * Deletes the token here and in the endpoint's cache. Call it before the app deletes its
     * own session. It returns whether the endpoint has confirmed the deletion, and never
     * throws: the user can sign out without a connection, too. The client returns no token
     * afterwards.
     */
    fun signOut(): Boolean {
        synchronized(lock) {
            signedOut = true
            kept = null
            flight = null
            flights.forEach { it.token.cancel(true) }
        }
        val reply = runCatching { send("DELETE", fresh = false) }.getOrNull()
        return reply?.status == 204
    }

    /** Starts a flight. Call it with the lock. */
    private fun start(flight: Flight): Flight {
        kept = null // it has expired, or Huma has rejected it
        this.flight = flight
        flights += flight
        flight.token = threads.submit(Callable {
            try {
                fetch(flight)
            } finally {
                synchronized(lock) {
                    flights -= flight
                    if (this.flight === flight) this.flight = null
                }
            }
        })
        return flight
    }

    /** An InterruptedException ends it when the user signs out. */
    private fun fetch(flight: Flight): HumaToken {
        var attempt = 0
        while (true) {
            attempt++
            val sent = System.currentTimeMillis()
            val reply = send("GET", flight.fresh)
            val token = if (reply?.status == 200) parse(reply.body) else null
            if (token != null) {
                synchronized(lock) {
                    // If flight is another one, a fresh token has been requested meanwhile.
                    if (this.flight === flight) kept = Kept(token, usableUntil(sent, token))
                }
                return token
            }
            val error = toException(reply)
            if (error.action == Action.SIGN_IN) {
                synchronized(lock) { kept = null } // the next user must not get it
            }
            // The response to a fresh request is repeated for 5 seconds, so do not retry earlier.
            val least = if (flight.fresh) retryDelayMillis else 0
            val wait = maxOf(least, error.retryAfter?.times(1000) ?: (retryDelayMillis shl (attempt - 1)))
            if (error.action != Action.RETRY || attempt >= MAX_ATTEMPTS || wait > MAX_WAIT_MILLIS) {
                throw error
            }
            // Up to half as long again, so that not all apps retry at the same moment.
            Thread.sleep(wait + Random.nextLong(wait / 2 + 1))
        }
    }

    /**
     * Makes one request, and repeats it with a renewed access token if that has expired.
     * Returns null if there is no response in time.
     */
    private fun send(method: String, fresh: Boolean): Reply? {
        val reply = sendOnce(method, fresh, accessToken(false))
        if (reply == null || toException(reply).action != Action.SIGN_IN) return reply
        return sendOnce(method, fresh, accessToken(true))
    }

    private fun sendOnce(method: String, fresh: Boolean, accessToken: String): Reply? {
        val separator = if ('?' in url) '&' else '?'
        val connection = URL("$url${separator}client_type=android").openConnection() as HttpURLConnection
        connection.requestMethod = method
        connection.connectTimeout = timeoutMillis.toInt()
        connection.readTimeout = timeoutMillis.toInt()
        connection.instanceFollowRedirects = false // a login page is not a token
        connection.setRequestProperty("Authorization", "Bearer $accessToken")
        if (fresh) { // not useCaches = false, which can send it always
            connection.setRequestProperty("Cache-Control", "no-cache")
        }
        synchronized(lock) {
            if (signedOut && method != "DELETE") throw HumaTokenException(Action.SIGN_IN)
        }
        // On a thread of its own, because reading cannot be interrupted, and has no total timeout.
        val reply = threads.submit(Callable { receive(connection) })
        try {
            return reply.get(timeoutMillis, TimeUnit.MILLISECONDS)
        } catch (_: TimeoutException) {
            return null
        } catch (e: ExecutionException) {
            if (e.cause is IOException) return null
            throw e.cause ?: e
        } finally {
            connection.disconnect()
        }
    }

    private fun receive(connection: HttpURLConnection): Reply {
        val status = connection.responseCode
        val stream = if (status < 400) connection.inputStream else connection.errorStream
        val text = stream?.use { it.readBytes().decodeToString() } ?: ""
        val body = try { JSONObject(text) } catch (_: JSONException) { null }
        return Reply(status, connection.getHeaderField("Retry-After")?.toLongOrNull(), body)
    }

    private fun parse(body: JSONObject?): HumaToken? = try {
        body?.let {
            HumaToken(
                uid = it.getString("uid"),
                authToken = it.getString("authToken"),
                authTokenExpiresIn = it.getLong("authTokenExpiresIn"),
                refreshToken = it.getString("refreshToken"),
                refreshTokenExpiresIn = it.getLong("refreshTokenExpiresIn"),
            )
        }
    } catch (_: JSONException) {
        null
    }

    private fun toException(reply: Reply?): HumaTokenException {
        if (reply == null) return HumaTokenException(Action.RETRY)
        val code = reply.body?.optString("code")?.let { Code.of(it) }
        // Without a code, the response is that of an authentication layer or a proxy in front.
        val action = code?.action ?: when (reply.status) {
            401 -> Action.SIGN_IN
            403 -> Action.NO_ACCESS
            429, 500, 502, 503, 504 -> Action.RETRY
            else -> Action.REPORT // also a redirect, or a page with status 200
        }
        val detail = reply.body?.optString("detail")?.takeIf { it.isNotEmpty() }
        return HumaTokenException(action, reply.status, code, reply.retryAfter, detail)
    }

    /**
     * Returns until when the app may use a token. The endpoint replaces tokens 30 seconds
     * before they expire, or a tenth of their lifetime if that is less. A token with an
     * unknown lifetime is used until Huma rejects it.
     */
    private fun usableUntil(sent: Long, token: HumaToken): Long {
        val lifetime = token.authTokenExpiresIn * 1000
        return if (lifetime <= 0) Long.MAX_VALUE else sent + lifetime - minOf(30_000, lifetime / 10)
    }

    private companion object {
        const val MAX_ATTEMPTS = 3
        const val MAX_WAIT_MILLIS = 30_000L // if Retry-After is longer, there is no retry
    }
}
