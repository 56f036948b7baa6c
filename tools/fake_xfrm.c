/*
 * fake_xfrm: a kernel's IPsec for IKE daemons that will not run without one.
 *
 * Libreswan ends an IKE SA when the kernel refuses its ESP state; OpenIKED does not start without PF_KEY. Preloaded into
 * such a daemon this library takes every SA and policy that it installs, keeps nothing of them and moves no packet: the
 * whole control plane runs, the data plane does not exist. Only the tests use it.
 *
 *   netlink XFRM   A request about SAs or policies is sent on as NLMSG_NOOP that wants an acknowledgement; the kernel
 *                  gives it under the daemon's own sequence number. ALLOCSPI reaches the kernel as it is: XFRM_USER
 *                  serves it without ESP.
 *   PF_KEY         socket(AF_KEY) gives one end of a pair; a child process at the other end answers each message
 *                  without an error, hands out SPIs, and tells of a soft lifetime when its seconds have passed.
 *
 * FAKE_XFRM_LOG names a file that receives a line for each SA, "DESTINATION SPI ENCRYPTION-KEY INTEGRITY-KEY" in
 * hexadecimal ("-" for none), so that a test can tell whether both ends derived the same keys.
 *
 * gcc -O2 -Wall -shared -fPIC -o fake_xfrm.so fake_xfrm.c -ldl
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/pfkeyv2.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define LARGEST 16384 /* octets of one netlink request */
#define KEY_DIGITS 260
#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, #name))

struct keys {
  char encryption[KEY_DIGITS], integrity[KEY_DIGITS];
};

static void digits(char *out, const void *octets, unsigned bits) {
  unsigned count = bits / 8;
  if (count > KEY_DIGITS / 2 - 1) count = KEY_DIGITS / 2 - 1;
  for (unsigned i = 0; i < count; i++) sprintf(out + 2 * i, "%02x", ((const unsigned char *)octets)[i]);
}

static void tell(const char *destination, unsigned spi, const struct keys *keys) {
  const char *path = getenv("FAKE_XFRM_LOG");
  FILE *log = path ? fopen(path, "ae") : NULL;
  if (!log) return;
  fprintf(log, "%s %08x %s %s\n", destination, spi, keys->encryption[0] ? keys->encryption : "-",
          keys->integrity[0] ? keys->integrity : "-");
  fclose(log);
}

/* ---- netlink XFRM ---- */

static int is_xfrm(int fd) {
  int domain = 0, protocol = 0;
  socklen_t size = sizeof domain;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) || domain != AF_NETLINK) return 0;
  size = sizeof protocol;
  return !getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) && protocol == NETLINK_XFRM;
}

static void tell_state(const struct nlmsghdr *message) {
  const struct xfrm_usersa_info *sa = NLMSG_DATA(message);
  const char *at = (const char *)message + NLMSG_SPACE(sizeof *sa), *end = (const char *)message + message->nlmsg_len;
  struct keys keys = {{0}, {0}};
  char destination[INET6_ADDRSTRLEN] = "?";
  inet_ntop(sa->family, &sa->id.daddr, destination, sizeof destination);
  while (at + NLA_HDRLEN <= end) {
    const struct nlattr *attribute = (const void *)at;
    const void *value = at + NLA_HDRLEN;
    if (attribute->nla_len < NLA_HDRLEN) break;
    switch (attribute->nla_type & NLA_TYPE_MASK) {
    case XFRMA_ALG_AEAD: {
      const struct xfrm_algo_aead *aead = value;
      digits(keys.encryption, aead->alg_key, aead->alg_key_len);
      break;
    }
    case XFRMA_ALG_CRYPT: {
      const struct xfrm_algo *crypt = value;
      digits(keys.encryption, crypt->alg_key, crypt->alg_key_len);
      break;
    }
    case XFRMA_ALG_AUTH_TRUNC: {
      const struct xfrm_algo_auth *auth = value;
      digits(keys.integrity, auth->alg_key, auth->alg_key_len);
      break;
    }
    }
    at += NLA_ALIGN(attribute->nla_len);
  }
  tell(destination, ntohl(sa->id.spi), &keys);
}

/* The request to send instead of `data`: `copy`, when this is one that the kernel would refuse; else `data` itself. */
static const void *instead(int fd, const void *data, size_t size, char *copy) {
  const struct nlmsghdr *asked = data;
  if (size < sizeof *asked || size > LARGEST || asked->nlmsg_len > size || !is_xfrm(fd)) return data;
  switch (asked->nlmsg_type) {
  case XFRM_MSG_NEWSA: case XFRM_MSG_UPDSA:
    tell_state(asked);
    break;
  case XFRM_MSG_DELSA: case XFRM_MSG_GETSA: case XFRM_MSG_FLUSHSA: case XFRM_MSG_EXPIRE: case XFRM_MSG_MIGRATE:
  case XFRM_MSG_NEWAE: case XFRM_MSG_NEWPOLICY: case XFRM_MSG_UPDPOLICY: case XFRM_MSG_DELPOLICY:
  case XFRM_MSG_FLUSHPOLICY: break;
  default: return data;
  }
  memcpy(copy, data, size);
  struct nlmsghdr *message = (void *)copy;
  message->nlmsg_type = NLMSG_NOOP;
  message->nlmsg_flags = (message->nlmsg_flags & ~NLM_F_DUMP) | NLM_F_ACK;
  return copy;
}

ssize_t write(int fd, const void *data, size_t size) {
  char copy[LARGEST];
  return NEXT(ssize_t(*)(int, const void *, size_t), write)(fd, instead(fd, data, size, copy), size);
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
  char copy[LARGEST];
  return NEXT(ssize_t(*)(int, const void *, size_t, int), send)(fd, instead(fd, data, size, copy), size, flags);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
  char copy[LARGEST];
  return NEXT(ssize_t(*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t), sendto)(
      fd, instead(fd, data, size, copy), size, flags, to, length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  char copy[LARGEST];
  struct msghdr other = *message;
  struct iovec part;
  if (message->msg_iovlen == 1) {
    part = message->msg_iov[0];
    part.iov_base = (void *)instead(fd, part.iov_base, part.iov_len, copy);
    other.msg_iov = &part;
  }
  return NEXT(ssize_t(*)(int, const struct msghdr *, int), sendmsg)(fd, &other, flags);
}

/* ---- PF_KEY ---- */

#define PATIENCE 5000 /* milliseconds for an answer */
#define MOST 64 /* SAs whose soft lifetime is watched */

struct watched {
  unsigned spi; /* network order; 0: a free place */
  time_t due;
  char message[2048];
  size_t size;
};

static struct watched watching[MOST];

static time_t seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

static const void *extension(const char *message, size_t size, unsigned type) {
  for (size_t at = sizeof(struct sadb_msg); at + sizeof(struct sadb_ext) <= size;) {
    const struct sadb_ext *found = (const void *)(message + at);
    size_t length = found->sadb_ext_len * 8u;
    if (!length || at + length > size) return NULL;
    if (found->sadb_ext_type == type) return found;
    at += length;
  }
  return NULL;
}

static size_t append(char *reply, size_t at, const void *found, size_t size) {
  if (!found) return at;
  memcpy(reply + at, found, size);
  return at + size;
}

static void answer(int fd, char *reply, size_t size) {
  ((struct sadb_msg *)reply)->sadb_msg_len = size / 8;
  NEXT(ssize_t(*)(int, const void *, size_t, int), send)(fd, reply, size, MSG_NOSIGNAL);
}

/* Remember to tell of the end of an SA's soft lifetime, or, for a Delete, forget it. */
static void watch(const char *message, size_t size, int kept) {
  const struct sadb_sa *sa = extension(message, size, SADB_EXT_SA);
  const struct sadb_lifetime *soft = extension(message, size, SADB_EXT_LIFETIME_SOFT);
  struct watched *place = NULL;
  if (!sa) return;
  for (int i = 0; i < MOST; i++) {
    if (watching[i].spi == sa->sadb_sa_spi) watching[i].spi = 0;
    if (!watching[i].spi) place = &watching[i];
  }
  if (!kept || !soft || !soft->sadb_lifetime_addtime || !place) return;
  const char *ends[] = {extension(message, size, SADB_EXT_ADDRESS_SRC), extension(message, size, SADB_EXT_ADDRESS_DST)};
  struct sadb_msg head = *(const struct sadb_msg *)message;
  head.sadb_msg_type = SADB_EXPIRE;
  head.sadb_msg_errno = 0;
  head.sadb_msg_seq = head.sadb_msg_pid = 0;
  place->size = append(place->message, 0, &head, sizeof head);
  place->size = append(place->message, place->size, sa, sizeof *sa);
  place->size = append(place->message, place->size, soft, sizeof *soft);
  for (int i = 0; i < 2; i++)
    if (ends[i])
      place->size = append(place->message, place->size, ends[i], ((const struct sadb_ext *)ends[i])->sadb_ext_len * 8u);
  place->spi = sa->sadb_sa_spi;
  place->due = seconds() + soft->sadb_lifetime_addtime;
}

static void expire(int fd) {
  for (int i = 0; i < MOST; i++) {
    if (!watching[i].spi || watching[i].due > seconds()) continue;
    watching[i].spi = 0;
    answer(fd, watching[i].message, watching[i].size);
  }
}

static void tell_pfkey(const char *message, size_t size) {
  const struct sadb_sa *sa = extension(message, size, SADB_EXT_SA);
  const struct sadb_key *encryption = extension(message, size, SADB_EXT_KEY_ENCRYPT);
  const struct sadb_key *integrity = extension(message, size, SADB_EXT_KEY_AUTH);
  const struct sadb_address *to = extension(message, size, SADB_EXT_ADDRESS_DST);
  struct keys keys = {{0}, {0}};
  char destination[INET_ADDRSTRLEN] = "?";
  if (encryption) digits(keys.encryption, encryption + 1, encryption->sadb_key_bits);
  if (integrity) digits(keys.integrity, integrity + 1, integrity->sadb_key_bits);
  if (to) inet_ntop(AF_INET, &((const struct sockaddr_in *)(to + 1))->sin_addr, destination, sizeof destination);
  if (sa) tell(destination, ntohl(sa->sadb_sa_spi), &keys);
}

/* What the kernel would say: the message again without its keys; for GETSPI with an SPI in front. */
static void reply_to(int fd, const char *message, size_t size) {
  char reply[8192];
  const struct sadb_msg *asked = (const void *)message;
  struct sadb_msg *head = (void *)reply;
  size_t length = append(reply, 0, asked, sizeof *asked);
  head->sadb_msg_errno = asked->sadb_msg_type == SADB_GET ? ESRCH : 0;
  if (asked->sadb_msg_type == SADB_GETSPI) {
    struct sadb_sa sa = {.sadb_sa_len = sizeof sa / 8, .sadb_sa_exttype = SADB_EXT_SA};
    unsigned spi = 0;
    if (getrandom(&spi, sizeof spi, 0) != sizeof spi) _exit(1);
    sa.sadb_sa_spi = htonl(spi % 0x7fffff00u + 0x100u);
    length = append(reply, length, &sa, sizeof sa);
  }
  for (size_t at = sizeof *asked; at + sizeof(struct sadb_ext) <= size;) {
    const struct sadb_ext *part = (const void *)(message + at);
    size_t octets = part->sadb_ext_len * 8u;
    if (!octets || at + octets > size) break;
    if (part->sadb_ext_type != SADB_EXT_KEY_AUTH && part->sadb_ext_type != SADB_EXT_KEY_ENCRYPT &&
        part->sadb_ext_type != SADB_EXT_SPIRANGE)
      length = append(reply, length, part, octets);
    at += octets;
  }
  answer(fd, reply, length);
}

static void serve(int fd) {
  char message[4096];
  for (;;) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (NEXT(int (*)(struct pollfd *, nfds_t, int), poll)(&ready, 1, 200) > 0) {
      ssize_t size = recv(fd, message, sizeof message, 0);
      if (size <= 0) _exit(0);
      if (size < (ssize_t)sizeof(struct sadb_msg)) continue;
      int type = ((struct sadb_msg *)message)->sadb_msg_type;
      if (type == SADB_ADD || type == SADB_UPDATE) tell_pfkey(message, size);
      if (type == SADB_ADD || type == SADB_UPDATE || type == SADB_DELETE) watch(message, size, type != SADB_DELETE);
      if (type == SADB_FLUSH) memset(watching, 0, sizeof watching);
      reply_to(fd, message, size);
    }
    expire(fd);
  }
}

int socket(int domain, int type, int protocol) {
  int pair[2];
  if (domain != AF_KEY) return NEXT(int (*)(int, int, int), socket)(domain, type, protocol);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | (type & (SOCK_NONBLOCK | SOCK_CLOEXEC)), 0, pair)) return -1;
  if (fork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    fcntl(pair[1], F_SETFL, fcntl(pair[1], F_GETFL) & ~O_NONBLOCK);
    if (pair[1] > 3) close_range(3, pair[1] - 1, 0);
    close_range(pair[1] + 1, ~0u, 0);
    serve(pair[1]);
  }
  close(pair[1]);
  return pair[0];
}

#pragma GCC diagnostic ignored "-Wmaybe-uninitialized" /* glibc declares that poll only writes there */

/* A kernel has answered before it returns, so OpenIKED waits a millisecond; a process gets as long as it needs. */
int poll(struct pollfd *sockets, nfds_t count, int milliseconds) {
  int domain = 0, type = 0;
  socklen_t size = sizeof domain;
  if (count == 1 && !getsockopt(sockets->fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) && domain == AF_UNIX &&
      !getsockopt(sockets->fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == SOCK_SEQPACKET && milliseconds >= 0)
    milliseconds += PATIENCE;
  return NEXT(int (*)(struct pollfd *, nfds_t, int), poll)(sockets, count, milliseconds);
}

/* A policy of a socket's own that lets IKE pass (PF_KEY's way): without ESP there is nothing to be let past. */
int setsockopt(int fd, int level, int option, const void *value, socklen_t size) {
  if ((level == IPPROTO_IP && option == 16) || (level == IPPROTO_IPV6 && option == 34)) return 0;
  return NEXT(int (*)(int, int, int, const void *, socklen_t), setsockopt)(fd, level, option, value, size);
}
