/* The protocol by which pods share tokens through Redis, as a model for spin. docs/explanation/how-the-fleet-agrees.md
 * explains it and lists the invariants: `holds(3, …)` is invariant 3 of that page. `make protocol` runs it.
 *
 * Pods are numbered from 0, tokens of a key from 1, in the order in which their fetches begin. So the number of fetches
 * begun is the time: a fetch of token 3 begins after a request that was sent when `issued` was 2. Each `d_step` is one
 * script in Redis with the handling of its reply, or what a pod's event loop does between two of them.
 *
 * -DPODS, -DKEYS, -DTOKENS (fetches of a key, at most 6), -DSECOND (of the second key) and -DFAULTS (faults in one run,
 * each at most once) set the size, -DALLOWED the faults that may happen, -DWITHOUT= a guard or an assumption to remove, -DONLY= one invariant.
 */
#ifndef WITHOUT
#define WITHOUT NOTHING
#endif
#ifndef ALLOWED
#define ALLOWED 511
#endif
#ifndef ONLY
#define ONLY 0
#endif
#ifndef SECOND
#define SECOND TOKENS
#endif
#define LIMIT (k -> SECOND : TOKENS)
#define OVERTAKEN 2     /* repeats of a load; 3 in the code */
#define QUEUE 2         /* messages on their way to a pod */
#define UNSURE(p) (p == 0)      /* pod 0 knows the clock of Redis to within 1, the others exactly */

/* Guards, */
#define NOTHING 0
#define GENERATION 1
#define FINGERPRINT 2
#define LEASE 3
#define OWNER 4
#define RELEASE 5
#define LAST_RELEASE 6
#define OFFSET 7
#define HEARD 8
#define CATCH_UP 9
#define GAP_COUNT 10
#define TIME 11
#define COOL_DOWN 12
#define PROBE 13
#define KNOWN 14
#define SIGNATURE 15
#define PUT_BACK 16
#define BEHIND 17
/* and assumptions. */
#define DATA_KEPT 18
#define PROMPT_REPLIES 19
#define NO_GAP_IN_COOL_DOWN 20

/* Where a pod is with its request for a key. */
#define IDLE 0
#define LOAD 1          /* needs a token: it claims next */
#define FETCH 2         /* its token request is under way */
#define KEEP 3          /* a token is on its way from Redis or the authorization server */
#define SENT 4          /* its request is at the upstream */
#define SHARE 5         /* the successor was refused too */
/* The link by which messages arrive. */
#define CUT 0
#define SUBSCRIBED 1    /* messages arrive; what was missed is not known yet */
#define WHOLE 2
/* The cool-down of a key in Redis. */
#define OPEN 1
#define OVER 2
#define PROBED 3
/* The owner of a lease whose load has ended. */
#define GONE 7
/* Faults. */
#define REVOKE 1        /* the upstream refuses the tokens so far */
#define BREAK 2         /* the upstream refuses every token, until it is mended */
#define GAP 4           /* a pod's link is cut */
#define OUTAGE 8        /* Redis answers no pod for a while; every link is cut */
#define FLUSH 16        /* Redis loses its data */
#define CRASH 32        /* a pod is killed and starts again */
#define FAIL 64         /* a token request fails */
#define SLOW 128        /* a lease expires because it is not renewed in time */
#define LAPSE 256       /* a stored token expires */

typedef Stored {        /* of a key, in Redis */
  unsigned value : 3, gen : 4, lease : 3, dead : 3, since : 3, cool : 2, cooled : 3;
  bool early            /* a pod that is unsure of the time stored the value */
};
typedef Flow {          /* of a key, in a pod: its request, then what the pod remembers */
  unsigned pc : 3, token : 3, began : 3, gen : 4, sent : 3, floor : 4, passing : 3, repeats : 2;
  bool second, missed, alone, leased;
  unsigned memory : 3, memory_began : 3, memory_gen : 4, refused_floor : 4, heard : 3, last : 4;
  bool cooling, put_back
#ifdef LIVENESS
  bool served
#endif
};
typedef Pod { Flow at[KEYS]; byte link };
typedef Truth {         /* of a key: what no pod can see */
  unsigned issued : 3, revoked : 3, busted : 8, bust_at : 3, prober : 2, clock : 4;
  bool broken, window
};

Stored redis[KEYS];
Pod pod[PODS];
Truth truth[KEYS];
bool up = true;         /* Redis answers */
short spent;            /* the faults that have happened, */
byte happened;          /* and their number */
byte q, gen, before;    /* within a step */
chan bus[PODS] = [QUEUE] of { byte, byte, byte };       /* key, fingerprint, generation */

#define me pod[p].at[k]
#define store redis[k]
#define real truth[k]
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define BIT(token) (1 << (token))
#define with(guard) (WITHOUT != guard)
#define holds(number, what) assert(100##number && ((ONLY && ONLY != number) || (what)))
#define may(fault) ((ALLOWED & fault) && !(spent & fault) && happened < FAULTS)
#define each_pod(...) p = 0; do :: p < PODS -> __VA_ARGS__; p++ :: else -> break od; p = 0
#define each_key(...) k = 0; do :: k < KEYS -> __VA_ARGS__; k++ :: else -> break od; k = 0
#ifdef LIVENESS
#define SERVED(now) me.served = now
#define ENDLESS(p) ([]<> (pod[p].at[0].served || truth[0].issued == TOKENS))
ltl { ENDLESS(0) && ENDLESS(1) }
#else
#define SERVED(now) skip
#endif

/* The moment at which a stored token's fetch began: the earliest that it can have been, or by the pod's own clock. */
#define SEEN(token) (with(OFFSET) -> token - (UNSURE(p) || store.early) : token + UNSURE(p))
#define AFTER(began, floor) (!(floor) || (began) > (floor))      /* 0: there is no floor */
#define SPARE (me.memory && AFTER(me.memory_began, me.floor))    /* a token in memory that is still good enough */
#define BUSY(q) (pod[q].at[k].pc == FETCH || (pod[q].at[k].pc == LOAD && pod[q].at[k].repeats))
#define TRUSTED (AFTER(me.began, me.refused_floor) && (!with(HEARD) || me.token != me.heard))
#define CLEAN (me.put_back || pod[p].link != WHOLE || len(bus[p]) || !(real.busted & BIT(me.memory)))
#define ACCEPTED (me.token > real.revoked && !real.broken)
#define RELAYED (me.cooling && real.window)
#define COOLS (store.cool == PROBED || (with(COOL_DOWN) && store.cool == OPEN))
#define DEAD (with(KNOWN) && store.dead == me.token && store.value != me.token)
#define OPENED (store.cool == OPEN || (store.cool == OVER && store.cooled == me.token))
/* A reply times out after 100 ms: its token and a later one are not both bust meanwhile. */
#define PROMPT(q) (!with(PROMPT_REPLIES) || pod[q].at[k].pc != KEEP || !(real.busted & BIT(pod[q].at[k].token)))
#if PODS == 3
#define ROOM (nfull(bus[0]) && nfull(bus[1]) && nfull(bus[2]) && PROMPT(0) && PROMPT(1) && PROMPT(2))
#else
#define ROOM (nfull(bus[0]) && nfull(bus[1]) && PROMPT(0) && PROMPT(1))
#endif

inline spend(fault) { spent = spent | fault; happened++ }
inline remember() { me.memory = me.token; me.memory_began = me.began; me.memory_gen = me.gen }
inline recall() { me.token = me.memory; me.began = me.memory_began; me.gen = me.memory_gen }
inline drop() { me.put_back = false; me.memory = 0; me.memory_began = 0; me.memory_gen = 0 }
inline load(above) {
  me.pc = LOAD; me.floor = MAX(me.refused_floor, above);
  me.token = 0; me.began = 0; me.gen = 0; me.sent = 0; me.passing = 0; me.missed = false
}
inline rest() {
  load(0); me.pc = IDLE; me.floor = 0; me.repeats = 0; me.second = false; me.alone = false; me.leased = false
}
inline send() {         /* a response that can only accept the token comes in the same step: that saves states */
  SERVED(false);
  if
  :: ACCEPTED && !may(REVOKE) && !may(BREAK) && !(me.second && me.cooling) -> rest(); SERVED(true)
  :: else -> me.sent = real.issued; me.pc = SENT; me.floor = 0; me.passing = 0; me.repeats = 0
  fi
}
inline fetch(shared) {
  real.issued++; me.token = real.issued; me.began = me.token; me.alone = !shared; me.leased = shared; me.pc = FETCH
}

inline put(fp) { store.value = fp; store.early = (fp && UNSURE(p)) }

inline claim() {        /* Redis: CLAIM; FILL follows in the same step if the token is still in memory */
  if
  :: store.value && store.value != me.passing ->
     if
     :: AFTER(SEEN(store.value), me.floor) -> me.token = store.value; me.began = SEEN(store.value); me.gen = store.gen; me.pc = KEEP
     :: else -> me.passing = store.value
     fi
  :: else ->
     if
     :: with(LEASE) && store.lease && store.lease != p + 1 -> holds(4, store.lease == GONE || BUSY(store.lease - 1))   /* waits */
     :: else ->
        q = 0;
        do
        :: q < PODS -> holds(3, q == p || pod[q].at[k].pc != FETCH || !pod[q].at[k].leased); q++
        :: else -> break
        od;
        q = 0;
        if
        :: SPARE && me.memory_gen == store.gen ->
           holds(1, !(real.busted & BIT(me.memory)));
           put(me.memory); store.lease = 0; recall(); me.pc = KEEP
        :: else -> if :: real.issued < LIMIT -> store.lease = p + 1; me.gen = store.gen; fetch(true) :: else fi
        fi
     fi
  fi
}

inline release() { if :: !with(OWNER) || store.lease == p + 1 -> store.lease = 0 :: else fi }
inline abandon() { me.leased = false; if :: store.lease == p + 1 -> store.lease = GONE :: else fi }

inline fill() {         /* Redis: FILL */
  me.leased = false;
  if
  :: with(GENERATION) && store.gen != me.gen ->
     me.repeats++;
     if
     :: me.repeats < OVERTAKEN -> me.pc = LOAD; me.token = 0; me.began = 0; me.gen = 0
     :: else -> if :: with(LAST_RELEASE) -> release() :: else fi; rest()
     fi
  :: else -> holds(1, me.token > real.bust_at); release(); put(me.token); me.pc = KEEP
  fi
}

inline keep() {         /* the load ends: its token goes into memory and to the upstream, or the load is repeated */
  if
  :: (me.missed || !TRUSTED) && AFTER(me.began, me.refused_floor) && me.repeats < OVERTAKEN ->
     me.repeats++; me.alone = false; load((TRUSTED -> 0 : me.began))
  :: else ->
     if :: TRUSTED -> me.put_back = false; remember(); holds(6, CLEAN) :: else fi;
     me.missed = false; me.alone = false;
     if
     :: me.second && !AFTER(me.began, me.refused_floor) -> rest()
     :: else -> holds(5, !me.second || me.token > me.refused_floor); send()
     fi
  fi
}

inline bust() {         /* an upstream refused the token: drop it here, then Redis: BUST */
  if :: me.memory == me.token -> drop() :: else fi;
  before = me.refused_floor;
  if
  :: up && COOLS ->
     me.cooling = true; me.refused_floor = 0;
     if
     :: !me.memory && (!with(PUT_BACK) || (me.last <= me.gen && AFTER(me.began, before))) ->
        remember(); me.put_back = with(NO_GAP_IN_COOL_DOWN) && with(PUT_BACK)
     :: else
     fi;
     rest()
  :: else ->
     me.refused_floor = MAX(before, me.sent);
     if
     :: !up
     :: up && DEAD -> me.refused_floor = MAX(before, MIN(me.sent, store.since + UNSURE(p)))
     :: else ->
        holds(8, store.cool != OPEN);
        holds(9, !real.prober);
        holds(10, store.dead != me.token || store.value == me.token);
        gen = MAX(MAX(me.gen, (with(BEHIND) -> store.gen : 0)) + 1, (with(TIME) -> real.clock - UNSURE(p) : 0));
        real.clock++;
        q = 0;
        do
        :: q < PODS -> if :: q != p && pod[q].link != CUT -> bus[q]!k, me.token, gen :: else fi; q++
        :: else -> break
        od;
        q = 0;
        if
        :: !with(FINGERPRINT) || store.value == me.token ->
           holds(2, !store.value || store.value == me.token); put(0)
        :: else
        fi;
        store.gen = gen; store.dead = me.token; store.since = me.sent + UNSURE(p);
        real.busted = real.busted | BIT(me.token); real.bust_at = real.issued;
        if
        :: store.cool == OVER -> me.cooling = true; real.prober = p + 1; if :: with(PROBE) -> store.cool = PROBED :: else fi
        :: else
        fi;
        gen = 0
     fi;
     me.second = true; load(0)
  fi;
  before = 0
}

inline cool_down() {    /* Redis: COOL_DOWN */
  me.cooling = true;
  if
  :: up && OPENED
  :: up && !OPENED -> store.cool = OPEN; store.cooled = me.token; real.window = true; real.prober = 0
  :: else -> real.window = true
  fi;
  rest()
}

inline accepted() {     /* Redis: HEALED */
  SERVED(true);
  if
  :: me.second && me.cooling ->
     me.cooling = false; if :: up -> store.cool = 0; store.cooled = 0; real.prober = 0 :: else fi
  :: else
  fi;
  rest()
}

proctype Requests(byte p; byte k) {
end:
  do
  :: d_step { me.pc == IDLE && me.memory ->
       holds(6, CLEAN);
       recall(); send() }
  :: d_step { me.pc == IDLE && up -> load(0); claim() }         /* nothing is in memory, or it is time to look into Redis */
  :: d_step { me.pc == IDLE && !up -> load(0) }
  :: d_step { me.pc == LOAD && up -> claim() }
  :: d_step { me.pc == LOAD && !up && SPARE -> recall(); me.pc = KEEP }
  :: d_step { me.pc == LOAD && !up && !SPARE && real.issued < LIMIT -> fetch(false) }
  :: d_step { me.pc == FETCH && !me.alone && up -> fill() }
  :: d_step { me.pc == FETCH && (me.alone || !up) -> abandon(); me.pc = KEEP }
  :: d_step { me.pc == FETCH && may(FAIL) ->
       spend(FAIL); if :: up && with(RELEASE) -> release() :: up && !with(RELEASE) :: else -> abandon() fi; rest() }
  :: d_step { me.leased && may(SLOW) -> spend(SLOW); store.lease = 0; me.leased = false }
  :: d_step { me.pc == KEEP -> keep() }
  :: d_step { me.pc == SENT && ACCEPTED -> accepted() }
  :: d_step { me.pc == SENT && !ACCEPTED && RELAYED -> rest() }
  :: d_step { me.pc == SENT && !ACCEPTED && !RELAYED && me.second -> me.pc = SHARE }
  :: d_step { me.pc == SENT && !ACCEPTED && !RELAYED && !me.second && ROOM -> bust() }
  :: d_step { me.pc == SHARE -> cool_down() }
  od
}

inline receive(fp, number, signed) {
  holds(7, number > me.last);
  me.last = number; me.heard = fp;
  if :: me.memory == fp -> holds(11, signed); drop() :: else fi
}

inline catch_up() {
  if :: with(CATCH_UP) && me.memory && me.memory_gen != store.gen -> drop() :: else fi;
  me.missed = with(GAP_COUNT) && (me.pc == FETCH || me.pc == KEEP)
}

proctype Link(byte p) {
  byte k, fp, number;
end:
  do
  :: d_step { bus[p]?k, fp, number -> receive(fp, number, true); k = 0; fp = 0; number = 0 }
  :: d_step { pod[p].link == CUT && up -> pod[p].link = SUBSCRIBED }
  :: d_step { pod[p].link == SUBSCRIBED && up -> each_key(catch_up()); pod[p].link = WHOLE }
  od
}

proctype Time(byte k) {
end:
  do
  :: d_step { real.window || store.cool == OPEN ->
       real.window = false; if :: store.cool == OPEN -> store.cool = OVER :: else fi }
  :: d_step { store.cool == PROBED && pod[real.prober - 1].at[k].pc == IDLE -> store.cool = OVER; real.prober = 0 }
  :: d_step { store.lease == GONE -> store.lease = 0 }
  od
}

inline some_pod() { do :: p < PODS - 1 -> p++ :: break od }
inline some_key() { do :: k < KEYS - 1 -> k++ :: break od }
inline cut(p) { pod[p].link = CUT; do :: bus[p]?_, _, _ :: empty(bus[p]) -> break od }
inline crash() { rest(); drop(); me.refused_floor = 0; me.heard = 0; me.last = 0; me.cooling = false; abandon() }
inline flush() {
  put(0); store.gen = 0; store.lease = 0; store.dead = 0; store.since = 0; store.cool = 0; store.cooled = 0;
  real.prober = 0; real.clock = real.clock + 2;
  if
  :: with(DATA_KEPT) -> real.bust_at = 0; if :: unaware -> real.busted = 0 :: else fi
  :: else
  fi
}

proctype World() {
  byte p, k;
  bool unaware;
end:
  do
  :: d_step { may(REVOKE) -> spend(REVOKE); truth[0].revoked = truth[0].issued }        /* keys are alike */
  :: atomic { may(BREAK) -> spend(BREAK); some_key(); real.broken = true; k = 0 }
  :: d_step { truth[0].broken -> truth[0].broken = false }
  :: d_step { truth[KEYS - 1].broken -> truth[KEYS - 1].broken = false }
  :: atomic { may(GAP) -> spend(GAP); if :: p = 1 :: skip fi; cut(p); p = 0 }           /* pods 1 and 2 are alike */
  :: d_step { may(OUTAGE) -> spend(OUTAGE); up = false; each_pod(cut(p)) }
  :: d_step { !up -> up = true }
  :: d_step { may(FLUSH) ->
       spend(FLUSH);
       each_pod(if :: pod[p].link != WHOLE || len(bus[p]) -> unaware = true :: else fi);
       each_key(flush());
       each_pod(each_key(me.leased = false));
       unaware = false }
  :: atomic { may(CRASH) -> spend(CRASH); some_pod(); each_key(crash()); cut(p); p = 0 }
  :: atomic { may(LAPSE) -> spend(LAPSE); some_key(); put(0); k = 0 }
  :: atomic { !with(SIGNATURE) -> some_pod(); some_key(); if :: me.memory -> receive(me.memory, me.last + 1, false) :: else fi;
       p = 0; k = 0 }
  od
}

init {
  byte p, k;
  atomic {
    each_key(real.clock = 1; run Time(k));
    each_pod(each_key(run Requests(p, k)));
    each_pod(pod[p].link = WHOLE; run Link(p));
    run World()
  }
}
