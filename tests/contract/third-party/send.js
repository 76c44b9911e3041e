// Sends the batch on standard input as a shop's backend would; says what its client made of the
// answer. send.js BASE ACCOUNT TOKEN
const { OpenAPI, ConversionEventsService, ApiError } = require('./js');

const [base, account, token] = process.argv.slice(2);
OpenAPI.BASE = base;
OpenAPI.TOKEN = token;
const batch = JSON.parse(require('fs').readFileSync(0, 'utf8'));
ConversionEventsService.eventsCreate(account, batch).then(
  (body) => ({ status: 200, body }),
  (error) => {
    if (!(error instanceof ApiError)) throw error;
    return { status: error.status, body: error.body, message: error.message };
  },
).then((said) => console.log(JSON.stringify(said)));
