// SPDX-License-Identifier: Apache-2.0
// The bench's load: the requests of demo/load.lua in a fixed order and number, so that each window
// of a comparison is the same work.
//
//     load PORT CONNECTIONS [RATE]
//
// Each line of stdin is a number of requests. They are sent over the connections, one at a time on
// each, at most RATE per second; then "NANOSECONDS FAILED" is printed.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 64
#define REPLY_BYTES	65536

struct connection {
	size_t have;
	int fd;
	bool busy;
	char reply[REPLY_BYTES + 1];
};

static struct connection connections[MAX_CONNECTIONS];

static const char order[] = "{\"customer\":\"c-17\",\"lines\":[{\"product\":11,\"quantity\":7},{"
			    "\"product\":402,\"quantity\":23},"
			    "{\"product\":77,\"quantity\":60},{\"product\":1300,\"quantity\":4}]}";
static const char *const queries[] = {"red%20lamp", "wooden%20chair", "quiet%20folding%20table",
				      "clock"};

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int request_text(char *text, size_t size, unsigned long count)
{
	unsigned long kind = count % 20;

	if (kind < 10)
		return snprintf(text, size, "GET /product/%lu HTTP/1.1\r\nHost: localhost\r\n\r\n",
				count * 37 % 2000 + 1);
	if (kind < 13)
		return snprintf(text, size, "GET /search/%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
				queries[count % 4]);
	if (kind < 19)
		return snprintf(text, size,
				"POST /order HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
				"application/json\r\n"
				"Content-Length: %zu\r\n\r\n%s",
				sizeof(order) - 1, order);
	return snprintf(text, size, "GET /report HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

static int send_request(struct connection *connection, unsigned long count)
{
	char text[1024];
	int length = request_text(text, sizeof(text), count);

	connection->have = 0;
	connection->busy = true;
	return send(connection->fd, text, (size_t)length, MSG_NOSIGNAL) == length ? 0 : -1;
}

// The reply's end, by its length or its last chunk. The bytes are terminated by 0.
static bool is_complete(const struct connection *connection)
{
	const char *body = strstr(connection->reply, "\r\n\r\n");
	const char *length = strcasestr(connection->reply, "\r\ncontent-length:");

	if (!body)
		return false;
	body += 4;
	if (length && length < body)
		return connection->reply + connection->have >=
		       body + strtoul(length + 17, NULL, 10);
	return connection->have >= 5 &&
	       !memcmp(connection->reply + connection->have - 5, "0\r\n\r\n", 5);
}

// 1: the reply is complete, 0: not yet, -1: it cannot be read.
static int receive(struct connection *connection)
{
	ssize_t got = recv(connection->fd, connection->reply + connection->have,
			   REPLY_BYTES - connection->have, 0);

	if (got <= 0)
		return -1;
	connection->have += (size_t)got;
	connection->reply[connection->have] = '\0';
	if (!is_complete(connection))
		return 0;
	connection->busy = false;
	return 1;
}

// Requests that failed, or -1 if a connection broke.
static long run(unsigned long wanted, int count, double rate)
{
	struct pollfd polled[MAX_CONNECTIONS];
	unsigned long sent = 0, done = 0;
	long long start = now_ns();
	long failed = 0;

	while (done < wanted) {
		int ready, timeout_ms = 5000;

		for (int i = 0; i < count; i++) {
			if (connections[i].busy || sent == wanted)
				continue;
			if (rate > 0 && now_ns() - start < (long long)((double)sent / rate * 1e9)) {
				timeout_ms = 0;
				continue;
			}
			if (send_request(&connections[i], sent++))
				return -1;
		}
		for (int i = 0; i < count; i++)
			polled[i] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN};
		ready = poll(polled, (nfds_t)count, timeout_ms);
		if (ready < 0)
			return -1;
		if (timeout_ms && !ready)
			return -1;
		for (int i = 0; i < count; i++) {
			int got = polled[i].revents ? receive(&connections[i]) : 0;

			if (got < 0)
				return -1;
			if (got > 0) {
				done++;
				failed += strncmp(connections[i].reply, "HTTP/1.1 200", 12) != 0;
			}
		}
	}
	return failed;
}

static int open_connection(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return -1;
	return fd;
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 0;
	double rate = argc > 3 ? atof(argv[3]) : 0;
	char line[64];

	if (count < 1 || count > MAX_CONNECTIONS) {
		fprintf(stderr, "load: usage: load PORT CONNECTIONS [RATE], 1 to %d connections\n",
			MAX_CONNECTIONS);
		return 2;
	}
	for (int i = 0; i < count; i++) {
		connections[i].fd = open_connection(atoi(argv[1]));
		if (connections[i].fd < 0) {
			fprintf(stderr, "load: cannot connect to port %s\n", argv[1]);
			return 1;
		}
	}
	while (fgets(line, sizeof(line), stdin)) {
		long long start = now_ns();
		long failed = run(strtoul(line, NULL, 10), count, rate);

		if (failed < 0) {
			fprintf(stderr, "load: a connection broke\n");
			return 1;
		}
		printf("%lld %ld\n", now_ns() - start, failed);
		fflush(stdout);
	}
	return 0;
}
