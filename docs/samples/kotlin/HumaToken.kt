// A client of the token endpoint of caddy-huma, for Android. It needs only the platform:
// HttpURLConnection, and org.json, which is part of Android. docs/apps.md explains what it
// does.
//
//     val huma = HumaTokenClient("https://app.example.com/private/huma-token") { renew ->
//         session.accessToken(renew)
//     }
//     val token = huma.token()   // when the app starts, and whenever the SDK asks
//     huma.token(fresh = true)   // when Huma has rejected the token
//     huma.signOut()             // before the app deletes its own session
//
// All calls block: never call them on the main thread. In a coroutine, use
// withContext(Dispatchers.IO) { huma.token() }.

package com.example.huma

import java.io.IOException
import java.net.HttpURLConnection
import java.net.URL
import java.util.concurrent.ExecutionException
import java.util.concurrent.FutureTask
import kotlin.random.Random
import org.json.JSONException
import org.json.JSONObject

/** What an app does about an error. */
enum class Action {
    SIGN_IN, // the session is over: show the sign-in page
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
 * @property code null if the response is not one of the endpoint
 * @property retryAfter the header Retry-After in seconds
 */
class HumaTokenException(
    val action: Action,
    val status: Int? = null,
    val code: Code? = null,
    val retryAfter: Long? = null,
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
 * Requests tokens for the user of this app. Create one per app. All methods are safe for
 * concurrent use.
 *
 * @param accessToken returns the access token for the header Authorization. renew is true if
 *   the endpoint has rejected the previous one
 * @param timeoutMillis limits connecting and each wait for data. The endpoint responds
 *   within 10 seconds
 * @param retryDelayMillis the wait before the first retry, if there is no Retry-After
 */
class HumaTokenClient(
    private val url: String,
    private val timeoutMillis: Int = 15_000,
    private val retryDelayMillis: Long = 5_000,
    private val accessToken: (renew: Boolean) -> String,
) {
    private class Kept(val token: HumaToken, val until: Long)

    /** A request for a token with its retries, which concurrent calls share. */
    private inner class Flight(val fresh: Boolean) {
        var signedOut = false // guarded by lock
        val task = FutureTask { fetch(this) }
    }

    private class Reply(val status: Int, val retryAfter: Long?, val body: JSONObject?)

    private val lock = Any()
    private var kept: Kept? = null
    private var flight: Flight? = null

    /**
     * Returns the token that is kept in memory, or requests one. Concurrent calls share one
     * request. With fresh, the endpoint bypasses its cache too: set it only if Huma has
     * rejected the token. An exception of accessToken is thrown as it is.
     */
    @Throws(HumaTokenException::class)
    fun token(fresh: Boolean = false): HumaToken {
        val current = synchronized(lock) {
            kept?.let { if (!fresh && System.currentTimeMillis() < it.until) return it.token }
            flight?.takeIf { it.fresh || !fresh } ?: Flight(fresh).also { flight = it }
        }
        try {
            current.task.run() // only the first thread makes the request; the others wait below
            return current.task.get()
        } catch (e: ExecutionException) {
            throw e.cause ?: e
        } finally {
            synchronized(lock) { if (flight === current) flight = null }
        }
    }

    /**
     * Deletes the token here and in the endpoint's cache. Call it before the app deletes its
     * own session. It returns whether the endpoint has confirmed the deletion; the user can
     * sign out without a connection, too.
     */
    fun signOut(): Boolean {
        synchronized(lock) {
            flight?.signedOut = true
            flight = null
            kept = null
        }
        val reply = runCatching { send("DELETE", fresh = false, accessToken(false)) }.getOrNull()
        return reply?.status == 204
    }

    private fun fetch(flight: Flight): HumaToken {
        var renew = false
        var attempt = 0
        while (true) {
            attempt++
            val sent = System.currentTimeMillis()
            val reply = send("GET", flight.fresh, accessToken(renew))
            val token = if (reply?.status == 200) parse(reply.body) else null
            synchronized(lock) {
                if (flight.signedOut) throw HumaTokenException(Action.SIGN_IN)
                if (token != null) {
                    // If flight is another one, a fresh token has been requested meanwhile.
                    if (this.flight === flight) kept = Kept(token, usableUntil(sent, token))
                    return token
                }
            }
            val error = toException(reply)
            if (error.action == Action.SIGN_IN && !renew) {
                renew = true // the access token may have expired: try a new one, once
                continue
            }
            // The response to a fresh request is repeated for 5 seconds, so do not retry earlier.
            val least = if (flight.fresh) retryDelayMillis else 0
            val wait = maxOf(least, error.retryAfter?.times(1000) ?: (retryDelayMillis shl (attempt - 1)))
            if (error.action != Action.RETRY || attempt >= MAX_ATTEMPTS || wait > MAX_WAIT_MILLIS) {
                throw error
            }
            // Up to half as long again, so that not all apps retry at the same moment.
            try {
                Thread.sleep(wait + Random.nextLong(wait / 2 + 1))
            } catch (e: InterruptedException) {
                Thread.currentThread().interrupt()
                throw error
            }
        }
    }

    /** Makes one request. Returns null if there is no response in time. */
    private fun send(method: String, fresh: Boolean, accessToken: String): Reply? {
        val connection = URL("$url?client_type=android").openConnection() as HttpURLConnection
        try {
            connection.requestMethod = method
            connection.connectTimeout = timeoutMillis
            connection.readTimeout = timeoutMillis
            connection.instanceFollowRedirects = false // a login page is not a token
            connection.setRequestProperty("Authorization", "Bearer $accessToken")
            if (fresh) { // not useCaches = false, which can send it always
                connection.setRequestProperty("Cache-Control", "no-cache")
            }
            val status = connection.responseCode
            val stream = if (status < 400) connection.inputStream else connection.errorStream
            val text = stream?.use { it.readBytes().decodeToString() } ?: ""
            val body = try { JSONObject(text) } catch (_: JSONException) { null }
            return Reply(status, connection.getHeaderField("Retry-After")?.toLongOrNull(), body)
        } catch (_: IOException) {
            return null
        } finally {
            connection.disconnect()
        }
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
        val action = code?.action ?: when (reply.status) { // of an authentication layer or a proxy
            401 -> Action.SIGN_IN
            403 -> Action.NO_ACCESS
            429, 500, 502, 503, 504 -> Action.RETRY
            else -> Action.REPORT // also a redirect, or a page with status 200
        }
        return HumaTokenException(action, reply.status, code, reply.retryAfter)
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
