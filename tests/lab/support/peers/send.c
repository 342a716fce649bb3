/*
 * send ADDRESS PORT BYTES: sends so many bytes over TCP, and prints what comes back.
 * It asks for TCP by its number, as programs do that take it from getaddrinfo(3).
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **words)
{
	static char piece[1 << 16];
	struct sockaddr_in server = { .sin_family = AF_INET };
	long left;
	ssize_t done;
	int connection;

	if (count != 4)
		return 2;
	server.sin_port = htons(atoi(words[2]));
	inet_pton(AF_INET, words[1], &server.sin_addr);
	connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (connection < 0 || connect(connection, (struct sockaddr *)&server, sizeof(server))) {
		perror("send");
		return 1;
	}
	for (left = atol(words[3]); left > 0; left -= done) {
		done = write(connection, piece, left < (long)sizeof(piece) ? left : sizeof(piece));
		if (done < 0)
			return 1;
	}
	shutdown(connection, SHUT_WR);
	while ((done = read(connection, piece, sizeof(piece))) > 0)
		fwrite(piece, 1, done, stdout);
	return 0;
}
