// Runs the Kotlin sample for samples_test.go: it reads a command from each line of the
// standard input, and writes the result of each as a line of JSON.

import com.example.huma.HumaTokenClient
import com.example.huma.HumaTokenException
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicInteger
import org.json.JSONObject

private lateinit var client: HumaTokenClient
@Volatile private var access = ""
private var renewed = ""
private val renewals = AtomicInteger()
private val threads = Executors.newCachedThreadPool()

private fun token(fresh: Boolean = false): JSONObject = try {
    val token = client.token(fresh)
    JSONObject().put("uid", token.uid).put("authToken", token.authToken)
        .put("lifetime", token.authTokenExpiresIn).put("text", "$token")
} catch (e: HumaTokenException) {
    JSONObject().put("name", "HumaTokenError").put("action", e.action.name).putOpt("status", e.status)
        .putOpt("code", e.code?.name?.lowercase()).putOpt("retryAfter", e.retryAfter).putOpt("detail", e.detail)
        .put("text", "$e")
}

private fun run(command: String, args: List<String>): JSONObject = when (command) {
    "new" -> JSONObject().also {
        client = HumaTokenClient(args[0], args[1].toLong(), args[2].toLong()) { renew ->
            if (renew) {
                renewals.incrementAndGet()
                access = renewed
            }
            access
        }
    }
    "access" -> JSONObject().also {
        access = args[0]
        renewed = args[1]
    }
    "token" -> token()
    "fresh" -> token(fresh = true)
    "concurrent" -> {
        val all = threads.invokeAll(List(args[0].toInt()) { Callable { token() } }).map { it.get() }
        all[0].put("different", all.map { it.optString("authToken") }.distinct().size)
    }
    "signout" -> JSONObject().put("deleted", client.signOut())
    "leave" -> { // signs out during a request
        val result = threads.submit(Callable { token() })
        Thread.sleep(args[0].toLong())
        val deleted = client.signOut()
        result.get().put("deleted", deleted)
    }
    "replace" -> { // signs out during a request that a fresh one has replaced
        val result = threads.submit(Callable { token() })
        Thread.sleep(args[0].toLong())
        token(fresh = true)
        val deleted = client.signOut()
        result.get().put("deleted", deleted)
    }
    "late" -> { // requests a token during a sign-out
        val deleted = threads.submit(Callable { client.signOut() })
        Thread.sleep(args[0].toLong())
        token().put("deleted", deleted.get())
    }
    else -> error("unknown command $command")
}

fun main() {
    for (line in generateSequence(::readlnOrNull)) {
        val words = line.split(" ")
        renewals.set(0)
        println(run(words[0], words.drop(1)).put("renewals", renewals.get()))
    }
    threads.shutdown()
}
