package cinc

import (
	"errors"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// startServer answers PostgreSQL's protocol as far as one statement after the other needs it. It returns how to reach it.
func startServer(t *testing.T, answer func(statement string) (string, error)) Database {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn, answer)
		}
	}()
	return Database{Owner: `o'w\ner`, address: listener.Addr().String()}
}

func serve(conn net.Conn, answer func(string) (string, error)) {
	defer conn.Close() //nolint:errcheck // a test's
	back := pgproto3.NewBackend(conn, conn)
	if _, err := back.ReceiveStartupMessage(); err != nil {
		return
	}
	back.Send(&pgproto3.AuthenticationOk{})
	back.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if back.Flush() != nil {
		return
	}
	var value string
	var failed error
	for {
		message, err := back.Receive()
		if err != nil {
			return
		}
		switch m := message.(type) {
		case *pgproto3.Parse:
			value, failed = answer(m.Query)
			back.Send(&pgproto3.ParseComplete{})
		case *pgproto3.Bind:
			back.Send(&pgproto3.BindComplete{})
		case *pgproto3.Execute:
			var said *databaseError
			if errors.As(failed, &said) {
				back.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: said.code, Message: said.message})
				continue
			}
			back.Send(&pgproto3.DataRow{Values: [][]byte{[]byte(value)}})
			back.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		case *pgproto3.Describe:
			back.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("value"), DataTypeOID: 25}}})
		case *pgproto3.Sync:
			back.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			if back.Flush() != nil {
				return
			}
		case *pgproto3.Terminate:
			return
		}
	}
}
